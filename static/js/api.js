// REST: the envelope, the tokens, and one refresh for all requests at once.

import { language } from "./i18n.js";
import { reread, session, setSession } from "./session.js";

/** A failed call. `code` is the HTTP status, 0 where the server was not reached. */
export class ApiError extends Error {
  constructor(code, message, data = null) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.data = data;
  }
}

let refreshing = null;

/**
 * Calls the platform.
 * @param {string} method
 * @param {string} path from `/api/` on
 * @param {object} options `body` (sent as JSON), `form` (a FormData), `query`, `signal`, and
 *   `anonymous` for calls that need no login
 * @returns the envelope's `data`; for `/api/upload_voice`, which has none, the whole answer
 * @throws {ApiError} and, where `signal` aborted, the browser's AbortError
 */
export async function call(method, path, options = {}) {
  const used = options.anonymous ? "" : (session()?.access ?? "");
  let response = await request(method, path, options, used);
  if (response.status === 401 && !options.anonymous && (await refresh(used))) {
    response = await request(method, path, options, session().access);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return "data" in answer ? answer.data : answer;
  if (response.status === 401 && !options.anonymous) setSession(null, "expired");
  throw new ApiError(response.status, answer?.message ?? `HTTP ${response.status}`, answer?.data);
}

async function request(method, path, { body, form, query, signal }, token) {
  const headers = { "Accept-Language": language() === "en" ? "en" : "zh-hans" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const known = Object.entries(query ?? {}).filter(([, value]) => value !== "" && value != null);
  const search = known.length ? `?${new URLSearchParams(known)}` : "";
  try {
    return await fetch(path + search, {
      method,
      headers,
      signal,
      body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "network");
  }
}

/**
 * Changes tokens once, however many calls ask, in however many tabs.
 * @param {string} used the access token that was refused
 * @returns {Promise<boolean>} whether there is another one now
 */
function refresh(used) {
  refreshing ??= exclusively(() => refreshOnce(used)).finally(() => (refreshing = null));
  return refreshing;
}

function exclusively(task) {
  return navigator.locks ? navigator.locks.request("liyuan.refresh", task) : task();
}

async function refreshOnce(used) {
  const known = reread();
  if (!known) return false;
  if (known.access !== used) return true; // another tab was quicker
  const body = { refresh: known.refresh };
  const response = await request("POST", "/api/auth/refresh", { body }, "");
  if (!response.ok) {
    if (response.status >= 500 || response.status === 429)
      throw new ApiError(response.status, "refresh");
    return false;
  }
  const { data } = await response.json();
  setSession({ ...known, access: data.access, refresh: data.refresh });
  return true;
}

/** An access token good for another minute at least; "" where nobody is logged in. */
export async function freshToken() {
  const token = session()?.access ?? "";
  if (token && secondsLeft(token) < 60) await refresh(token);
  return session()?.access ?? "";
}

function secondsLeft(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)).exp - Date.now() / 1000;
  } catch {
    return Infinity; // not ours to read: the server will tell
  }
}

/**
 * Stores speech.
 * @param {Blob} blob
 * @param {string} extension
 * @returns {Promise<{url: string, format: string}>} the format as the server recognised it
 */
export async function uploadVoice(blob, extension) {
  const form = new FormData();
  form.append("file", blob, `voice.${extension}`);
  const { url } = await call("POST", "/api/upload_voice", { form });
  return { url, format: url.split(".").pop() };
}
