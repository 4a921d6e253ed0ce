// What stands in the log, be it stored, under way or failed.

import { newId } from "../store.js";

/**
 * @typedef {object} Item what stands in the log
 * @property {string} key
 * @property {number} [id] of the stored message
 * @property {"user"|"assistant"} author
 * @property {"text"|"voice"} type
 * @property {string} text
 * @property {string} [url] of the speech
 * @property {Blob} [blob] recorded speech, until it is stored
 * @property {number} [seconds] of recorded speech
 * @property {HTMLAudioElement} [audio] that plays the speech as it comes
 * @property {string} createdAt
 * @property {string} status user: uploading, sending, sent, failed, cancelled; assistant:
 *   thinking, streaming, done, cancelled
 * @property {string} [error]
 */

/** An item that is not stored yet. @returns {Item} */
export function newItem(author, type, text, status) {
  return { key: newId(), author, type, text, status, createdAt: new Date().toISOString() };
}

/** The item of a stored message. @returns {Item} */
export function itemOf(message) {
  const { id, author, type, text, created_at: createdAt, error } = message;
  const status =
    author === "user"
      ? ({ completed: "sent", cancelled: "sent", failed: "failed" }[message.status] ?? "sending")
      : message.status === "cancelled"
        ? "cancelled"
        : "done";
  return {
    key: `m${id}`,
    id,
    author,
    type,
    text,
    url: message.audio_url,
    createdAt,
    status,
    error,
  };
}

/** Whether a stored message still awaits its reply. */
export function isUnderWay({ status }) {
  return status === "queued" || status === "running";
}

/** Stored messages without failed ones that were said again right after. */
export function withoutRetried(list) {
  return list.filter((message, i) => {
    const next = list[i + 1];
    const again =
      next?.author === "user" &&
      (message.type === "text" ? next.text === message.text : next.audio_url === message.audio_url);
    return !(message.author === "user" && message.status === "failed" && again);
  });
}
