// The server's codes of what went wrong, and what one is told of them.

/** It ended, or was gone, while we asked: nobody needs to know. */
export const HARMLESS = new Set([
  "response_cancel_not_active",
  "input_audio_buffer_commit_empty", // it was noise and is gone
  "item_truncate_invalid_item_id",
]);

/** The server closes the line, in good order. */
export const CLOSING = new Set(["session_expired", "session_idle"]);

const KINDS = {
  insufficient_quota: "spent",
  rate_limit_exceeded: "busy",
  invalid_api_key: "expelled",
};

/** The kind of problem of a code; `other` where one can do nothing about it oneself. */
export function kindOf(code, other) {
  return KINDS[code] ?? other;
}
