// A WebSocket that comes back: exponential back-off with jitter, fresh tokens, no lost cause.

import { call, freshToken } from "./api.js";
import { session } from "./session.js";

const FIRST_DELAY = 500; // ms; doubled each time, up to
const LONGEST_DELAY = 30_000;
const OPENING = 10_000; // ms a handshake may take, with what is asked before it
const SILENCE = 30_000; // ms without an answer after which the line counts as dead, mostly
const STUCK = 2 ** 19; // bytes that do not leave: it is dead as well

/**
 * States: "closed" (by us), "opening", "open", "waiting" (will try again), and "dormant":
 * the server closed an idle line in good order, the next `send` or `open` brings it back.
 */
export class Socket {
  #socket = null;
  #failures = 0;
  #timer = 0;
  #silence = 0;
  #attempt = 0;
  state = "closed";

  /**
   * @param {string} path
   * @param {{onmessage: (message: object) => void, onstate: (state: string) => void}} handlers
   * @param {object} options `protocols(token)`: the subprotocols that carry the access token;
   *   `patience(message)`: ms in which something must come back, or the line is dead; 0 where
   *   the message has no answer
   */
  constructor(path, { onmessage, onstate }, { protocols = bearer, patience = usual } = {}) {
    Object.assign(this, { path, onmessage, onstate, protocols, patience });
    addEventListener("online", this.#online);
    addEventListener("offline", this.#offline);
  }

  /** Connects, unless it is connected or about to be. */
  open() {
    if (this.state === "open" || this.state === "opening") return;
    this.#connect();
  }

  /** Closes it in good order; the next `send` or `open` brings it back. */
  rest() {
    this.#drop();
    this.#become("dormant");
  }

  /** Ends it for good. */
  close() {
    removeEventListener("online", this.#online);
    removeEventListener("offline", this.#offline);
    this.#drop();
    this.#become("closed");
  }

  /** Sends, where it is open; returns whether it did. Else it connects, and `onstate` will tell. */
  send(message) {
    if (this.state !== "open") {
      if (this.state === "dormant") this.open();
      return false;
    }
    this.#socket.send(JSON.stringify(message));
    const patience = this.patience(message);
    if (patience) this.#silence ||= setTimeout(() => this.#fail(), patience);
    if (this.#socket.bufferedAmount > STUCK) this.#fail();
    return this.state === "open";
  }

  #online = () => {
    if (this.state !== "waiting") return;
    this.#failures = 0;
    this.#connect();
  };

  #offline = () => {
    if (this.state === "open" || this.state === "opening") this.#fail();
  };

  async #connect() {
    const mine = ++this.#attempt;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(), OPENING);
    this.#become("opening");
    let token;
    try {
      // A refused handshake looks like any other failure here; a plain request tells them apart.
      if (this.#failures === 2) await call("GET", "/api/auth/me");
      token = await freshToken();
    } catch {
      if (mine === this.#attempt) this.#fail();
      return;
    }
    if (mine !== this.#attempt) return;
    if (!token || !session()) return this.close();
    const socket = new WebSocket(address(this.path), this.protocols(token));
    this.#socket = socket;
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#become("open");
    };
    socket.onmessage = (event) => {
      this.#failures = 0;
      clearTimeout(this.#silence);
      this.#silence = 0;
      this.onmessage(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      const idle = event.code === 1000 && this.state === "open";
      if (idle) this.rest();
      else this.#fail();
    };
  }

  #fail() {
    this.#drop();
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures++);
    this.#timer = setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
    this.#become("waiting");
  }

  #drop() {
    this.#attempt++;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#silence = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.onstate(state);
  }
}

function usual() {
  return SILENCE;
}

function bearer(token) {
  return ["bearer", token];
}

function address(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href.split("#")[0];
}
