// The one line to `/api/ws/chat`: it carries the turns of all conversations, and keeps what
// came of each, so that a screen may leave and come back in the middle of a reply.

import { onSession, session } from "../session.js";
import { Socket } from "../socket.js";
import { keep, pending, settle } from "./outbox.js";

/**
 * @typedef {object} Turn
 * @property {import("./outbox.js").Entry} entry
 * @property {"sending"|"sent"|"done"|"failed"|"cancelled"} state
 * @property {string} transcript what was understood of a spoken message
 * @property {string} text of the reply, so far
 * @property {object|null} final the final message
 * @property {{code: number, message: string}|null} error
 */

const turns = new Map();
const listeners = new Set();
let socket = null;

onSession(() => {
  socket?.close();
  socket = null;
  turns.clear();
});

/**
 * Hears what happens: `listener(kind, turn, detail)` with kinds "sent", "unsent", "restart" (what was
 * streamed is void, it comes again), "transcript", "delta", "audio" (detail is the message),
 * "end" (see `turn.state`), "state" (of the line; no turn) and "error" (of no turn; detail).
 * @returns {() => void} stops listening
 */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(kind, turn = null, detail = null) {
  for (const listener of [...listeners]) listener(kind, turn, detail);
}

/** The state of the line, as `Socket` names them. */
export function lineState() {
  return socket?.state ?? "closed";
}

/** Connects, and sends what is still unanswered. */
export function openLine() {
  if (!session()) return;
  socket ??= new Socket("/api/ws/chat", {
    onmessage: receive,
    onstate: (state) => {
      if (state === "open") for (const entry of pending()) transmit(entry);
      if (state === "waiting") for (const turn of turns.values()) unsend(turn);
      if (state === "dormant" && pending().length) socket.open();
      tell("state");
    },
  });
  socket.open();
}

/** Sends a message, now or as soon as there is a line. @returns {Turn} */
export function send(entry) {
  keep(entry);
  const turn = turnOf(entry);
  openLine();
  if (lineState() === "open") transmit(entry);
  return turn;
}

/** The turn of a message of before, followed to its end. @returns {Turn} */
export function follow(entry) {
  const known = turns.get(entry.id);
  return known && isOpen(known) ? known : send(entry);
}

/** Stops a reply; what was said of it stays. */
export function cancel(id) {
  const turn = turns.get(id);
  if (!turn || !isOpen(turn)) return;
  if (turn.sends === 0) {
    settle(id); // it never left
    end(turn, "cancelled");
    return;
  }
  turn.entry.cancelled = true;
  keep(turn.entry);
  socket?.send({ type: "cancel", id });
}

/** Whether a turn still awaits its end. */
export function isOpen(turn) {
  return turn.state === "sending" || turn.state === "sent";
}

function turnOf(entry) {
  const fresh = {
    entry,
    state: "sending",
    transcript: "",
    text: "",
    final: null,
    error: null,
    sends: 0,
  };
  turns.set(entry.id, fresh);
  return fresh;
}

function transmit(entry) {
  const turn = turns.get(entry.id) ?? turnOf(entry);
  const sent = socket.send({
    role_id: entry.roleId,
    conversation_id: entry.conversationId,
    id: entry.id,
    type: entry.type,
    message: entry.message,
    ...(entry.type === "voice" ? { format: entry.format } : {}),
    response_type: entry.responseType,
    stream: true,
  });
  if (!sent) return;
  turn.state = "sent";
  tell("sent", turn);
  if (turn.sends++ > 0) {
    turn.text = "";
    tell("restart", turn);
  }
  if (entry.cancelled) socket.send({ type: "cancel", id: entry.id });
}

/** The line is lost: whether it arrived is not known before the next one. */
function unsend(turn) {
  if (turn.state !== "sent") return;
  turn.state = "sending";
  tell("unsent", turn);
}

function receive(message) {
  const turn = turns.get(message.id);
  if (!turn) {
    if (message.error) tell("error", null, { code: message.code, message: message.error });
    return;
  }
  if (!isOpen(turn)) return; // said twice, after a resend
  if (message.error && turn.entry.cancelled && message.code === 404) {
    settle(turn.entry.id); // nothing ran any more that could be stopped
    end(turn, "cancelled");
    return;
  }
  if (message.error) {
    turn.error = { code: message.code, message: message.error };
    settle(turn.entry.id);
    end(turn, "failed");
    return;
  }
  if (message.type === "transcript") {
    turn.transcript = message.message;
    tell("transcript", turn, message);
  } else if (message.type === "delta") {
    turn.text += message.message;
    tell("delta", turn, message);
  } else if (message.type === "audio") {
    tell("audio", turn, message);
  } else if (message.type === "text" || message.type === "voice") {
    turn.final = message;
    turn.text = message.text ?? (message.type === "text" ? message.message : turn.text);
    settle(turn.entry.id);
    end(turn, message.status === "cancelled" ? "cancelled" : "done");
  }
}

function end(turn, state) {
  turn.state = state;
  tell("end", turn);
}
