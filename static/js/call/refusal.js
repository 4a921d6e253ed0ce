// Why no line comes about: browsers do not show a script how a WebSocket was refused.

import { freshToken } from "../api.js";

const SECONDS = 10; // the shortest life of what is asked for; nobody uses it

/**
 * Asks for the key of a call, as any client may, and looks at the answer.
 * @returns {Promise<"closed"|"full"|"blocked"|"">} "closed": no calls here; "full": not just
 *   now; "blocked": calls are offered, but not to this line, by the server (another call is open)
 *   or by something on the way; "" where the server cannot be reached at all
 */
export async function whyRefused() {
  try {
    const answer = await fetch("/v1/realtime/client_secrets", {
      method: "POST",
      headers: {
        Authorization: `Bearer ${await freshToken()}`,
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ expires_after: { anchor: "created_at", seconds: SECONDS } }),
    });
    if (answer.status === 404 || answer.status === 403) return "closed";
    if (answer.status === 429 || answer.status === 503) return "full";
    return answer.ok ? "blocked" : "";
  } catch {
    return ""; // the status line says that nothing is reached
  }
}
