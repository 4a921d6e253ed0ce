// What the platform can do just now: `/api/health`, asked at the start and once a minute.

import { call } from "./api.js";
import { t } from "./i18n.js";

const EVERY = 60_000;
const listeners = new Set();
let known = null;

/** The last answer, or null. */
export function health() {
  return known;
}

/** Whether "asr" or "tts" is there; unknown counts as yes, the server will say otherwise. */
export function available(part) {
  return known?.providers?.[part]?.available !== false;
}

/** Why "asr" or "tts" is not there; "" where nothing was said. */
export function whyNot(part) {
  return known?.providers?.[part]?.reason ?? "";
}

/** What of voice is missing and why, in a sentence or two; "" where all is there. */
export function voiceProblem() {
  const [deaf, mute] = [!available("asr"), !available("tts")];
  if (deaf && mute && whyNot("asr") === whyNot("tts"))
    return `${t("health.silent")} ${whyNot("asr")}`;
  return [
    deaf && `${t("health.deaf")} ${whyNot("asr")}`,
    mute && `${t("health.mute")} ${whyNot("tts")}`,
  ]
    .filter(Boolean)
    .join(" ");
}

/** Whether the understudy speaks instead of a language model. */
export function understudy() {
  return known?.providers?.llm?.offline === true;
}

/** Calls `listener` after each answer. @returns {() => void} stops */
export function onHealth(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Asks now. */
export async function checkHealth() {
  try {
    known = await call("GET", "/api/health", { anonymous: true });
  } catch (error) {
    if (!error.data?.providers) return; // not reached: the requests say so, in their place
    known = error.data; // 503: not well, but able to say what it lacks
  }
  for (const listener of [...listeners]) listener();
}

/** Asks now and again while the page is looked at. */
export function watchHealth() {
  checkHealth();
  setInterval(() => document.hidden || checkHealth(), EVERY);
}
