// Who is logged in: tokens in localStorage, shared by the tabs of one browser.

import { load, onForeignChange, save } from "./store.js";

let current = load("session");
const listeners = new Set();

/** `{access, refresh, user: {id, username}}`, or null. */
export function session() {
  return current;
}

/** Begins a session, or goes on with fresh tokens; null ends it. `reason`: "expired" or "". */
export function setSession(value, reason = "") {
  const before = current;
  current = value;
  save("session", value);
  if (Boolean(before) !== Boolean(value) || before?.user.id !== value?.user.id) {
    for (const listener of listeners) listener(value, reason);
  }
}

/** Calls `listener(session, reason)` at each login and logout, also of another tab. */
export function onSession(listener) {
  listeners.add(listener);
}

/** What another tab may have stored since: rotation leaves one valid refresh token only. */
export function reread() {
  current = load("session");
  return current;
}

onForeignChange("session", (value) => setSession(value));
