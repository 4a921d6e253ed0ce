// One conversation as it goes on: its items, and what becomes of each message that is sent.

import { call, uploadVoice } from "../api.js";
import { StreamedSpeech } from "../audio/speech.js";
import { health } from "../health.js";
import { load, newId } from "../store.js";
import { explain } from "../ui/feedback.js";
import { lastDirection } from "../ui/prose.js";
import { isUnderWay, itemOf, newItem, withoutRetried } from "./item.js";
import { cancel, follow, isOpen, listen, send } from "./line.js";
import { pending, settle } from "./outbox.js";

const PAGE = 30;
const GREETING_WAITS = [0, 2000, 5000, 10000]; // ms between looks for a greeting being spoken

export class Talk {
  #turns = new Map(); // client id → {user, reply, turn, speech}
  #unlisten;
  #speaking = null;
  #stored = []; // items of the newest page, as it was loaded
  #gone = false;
  hasMore = false;

  /**
   * @param {number} id of the conversation
   * @param {object} role
   * @param {object} view `add(item)`, `prepend(items)`, `update(item)`, `remove(item)`,
   *   `state(name)`, `mood(text)`, `said(text)` for a reply that is complete, `blocked()`
   *   where the browser did not let speech sound, `line()` and `error(text)`
   */
  constructor(id, role, view) {
    Object.assign(this, { id, role, view });
    this.#unlisten = listen((kind, turn, detail) => this.#hear(kind, turn, detail));
  }

  /** Shows the newest messages and follows what is under way. */
  async load() {
    const { list, has_more: more } = await this.#page();
    this.hasMore = more;
    const waiting = new Map(pending(this.id).map((entry) => [entry.id, entry]));
    for (const message of withoutRetried(list)) {
      const item = itemOf(message);
      this.#show(item);
      if (message === list[0] && !more && message.author === "assistant") this.#giveVoice(item);
      const entry = waiting.get(message.client_id);
      waiting.delete(message.client_id);
      if (message.author !== "user") continue;
      if (isUnderWay(message)) this.#resume(item, entry ?? this.#entryOf(message));
      else if (entry) settle(entry.id);
    }
    for (const entry of waiting.values()) {
      const item = newItem(
        "user",
        entry.type,
        entry.type === "text" ? entry.message : "",
        "sending",
      );
      if (entry.type === "voice") item.url = entry.message;
      this.view.add(item);
      this.#resume(item, entry);
    }
    const last = list.findLast(({ author }) => author === "assistant");
    if (last) this.view.mood(lastDirection(last.text));
    this.#showState();
  }

  /** Gives the character's first words a player, where they are spoken. */
  async #giveVoice(greeting) {
    if (!this.role.greeting || health()?.providers?.tts?.available !== true) return;
    for (const wait of GREETING_WAITS) {
      if (wait) await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.#gone) return;
      try {
        const { url } = await call("GET", `/api/role/${this.role.id}/greeting`);
        if (!url) continue;
        this.view.update(Object.assign(greeting, { type: "voice", url }));
      } catch (error) {
        console.info("the greeting is not heard:", error.message);
      }
      return;
    }
  }

  /** Shows how things were stored since: the last words of a call settle a moment after it. */
  async catchUp() {
    const { list } = await this.#page();
    if (this.#gone || this.#turns.size) return; // one goes on in writing already
    const known = new Map(this.#stored.map((item) => [item.id, item]));
    for (const message of withoutRetried(list)) {
      const item = known.get(message.id);
      known.delete(message.id);
      if (item) this.view.update(Object.assign(item, { text: message.text }));
      else this.#show(itemOf(message));
    }
    for (const [id, item] of known) if (id > list[0].id) this.view.remove(item); // was no speech
  }

  /** Shows the page before the oldest message. */
  async older(before) {
    const { list, has_more: more } = await this.#page(before);
    this.hasMore = more;
    this.view.prepend(withoutRetried(list).map(itemOf));
  }

  /** Sends a text. @param {0|1|2} responseType */
  say(text, responseType) {
    const item = newItem("user", "text", text, "sending");
    this.view.add(item);
    this.#begin(item, { type: "text", message: text, responseType });
  }

  /** Stores recorded speech, then sends it. @param {{blob, seconds, extension}} recording */
  async sayVoice(recording, responseType) {
    const item = { ...newItem("user", "voice", "", "uploading"), ...recording, responseType };
    this.view.add(item);
    await this.#upload(item);
  }

  /** Tries a failed message once more. */
  retry(item) {
    if (item.blob && !item.url) {
      item.status = "uploading";
      item.error = "";
      this.view.update(item);
      this.#upload(item);
      return;
    }
    this.view.remove(item);
    if (item.type === "text") this.say(item.text, item.responseType ?? 0);
    else {
      const again = {
        ...newItem("user", "voice", "", "sending"),
        url: item.url,
        seconds: item.seconds,
        blob: item.blob,
      };
      this.view.add(again);
      this.#begin(again, {
        type: "voice",
        message: item.url,
        format: item.url.split(".").pop(),
        responseType: item.responseType ?? 1,
      });
    }
  }

  /** Whether a reply is awaited, said or heard. */
  get busy() {
    return Boolean(this.#speaking) || [...this.#turns.values()].some(({ turn }) => isOpen(turn));
  }

  /** Stops whatever runs; what was said stays. */
  stop() {
    this.#speaking?.stop();
    for (const { turn } of this.#turns.values()) if (isOpen(turn)) cancel(turn.entry.id);
  }

  dispose() {
    this.#gone = true;
    this.#unlisten();
    this.#speaking?.stop();
  }

  #show(item) {
    this.#stored.push(item);
    this.view.add(item);
  }

  #page(before) {
    return call("GET", `/api/conversations/${this.id}/messages`, {
      query: { before, limit: PAGE },
    });
  }

  async #upload(item) {
    try {
      const { url, format } = await uploadVoice(item.blob, item.extension);
      item.url = url;
      item.status = "sending";
      this.view.update(item);
      this.#begin(item, { type: "voice", message: url, format, responseType: item.responseType });
    } catch (error) {
      item.status = "failed";
      item.error = explain(error);
      this.view.update(item);
    }
  }

  #begin(item, parts) {
    item.responseType = parts.responseType;
    const entry = {
      ...parts,
      id: newId(),
      roleId: this.role.id,
      conversationId: this.id,
      createdAt: item.createdAt,
    };
    this.#place(item, entry, send);
  }

  #resume(item, entry) {
    if (!entry) return; // sent by a client that gave it no id: its answer comes with the next load
    item.responseType = entry.responseType;
    this.#place(item, entry, follow);
  }

  /** Puts the reply's place under the message, then sends or follows it. */
  #place(item, entry, start) {
    const reply = newItem("assistant", entry.responseType === 1 ? "voice" : "text", "", "thinking");
    this.view.add(reply);
    const place = { user: item, reply, turn: { entry, state: "sending" }, speech: null };
    this.#turns.set(entry.id, place);
    place.turn = start(entry);
    if (place.turn.text) this.#write(place);
    this.#showState();
  }

  #entryOf(message) {
    if (!message.client_id) return null;
    const spoken = message.type === "voice";
    return {
      id: message.client_id,
      roleId: this.role.id,
      conversationId: this.id,
      type: message.type,
      message: spoken ? message.audio_url : message.text,
      format: spoken ? message.audio_url.split(".").pop() : undefined,
      responseType: spoken ? 1 : 0,
      createdAt: message.created_at,
    };
  }

  #hear(kind, turn, detail) {
    if (kind === "state") {
      this.view.line();
      return;
    }
    if (kind === "error") this.view.error(detail.message);
    const place = turn && this.#turns.get(turn.entry.id);
    if (!place) return;
    const { user, reply } = place;
    if (kind === "sent" || kind === "unsent") {
      user.status = kind === "sent" ? "sent" : "sending";
      this.view.update(user);
    } else if (kind === "restart") {
      reply.text = "";
      reply.status = "thinking";
      this.view.update(reply);
    } else if (kind === "transcript") {
      user.text = turn.transcript;
      this.view.update(user);
    } else if (kind === "delta") this.#write(place);
    else if (kind === "audio") this.#sound(place, detail);
    else if (kind === "end") this.#end(place);
    this.#showState();
  }

  #write({ reply, turn }) {
    reply.text = turn.text;
    reply.status = "streaming";
    this.view.update(reply);
  }

  #sound(place, message) {
    if (!load("autoplay", true)) return;
    if (!place.speech && !message.is_final) this.#startSpeech(place);
    place.speech?.append(message.data);
    if (message.is_final) place.speech?.finish();
  }

  #startSpeech(place) {
    const speech = new StreamedSpeech({ onblocked: () => this.view.blocked() });
    place.speech = speech;
    place.reply.type = "voice";
    place.reply.audio = speech.audio;
    this.#speaking = speech;
    this.view.update(place.reply);
    speech.ended.then(() => {
      if (this.#speaking === speech) this.#speaking = null;
      this.#showState();
    });
  }

  #end({ user, reply, turn, speech }) {
    user.status = turn.state === "failed" ? "failed" : "sent";
    user.error = turn.error?.message ?? "";
    this.view.update(user);
    if (turn.state === "cancelled") speech?.stop();
    if (turn.state === "failed" || (turn.state === "cancelled" && !turn.text)) {
      speech?.stop();
      this.view.remove(reply);
      return;
    }
    const { final } = turn;
    reply.text = turn.text;
    reply.id = final?.message_id;
    reply.status = turn.state === "cancelled" ? "cancelled" : "done";
    if (final?.type === "voice") {
      reply.type = "voice";
      reply.url = final.message;
    } else {
      reply.type = "text"; // also where it was stopped before any speech could be kept
      reply.audio = null;
    }
    this.view.update(reply);
    this.view.mood(lastDirection(turn.text));
    this.view.said(turn.text);
  }

  #showState() {
    const open = [...this.#turns.values()].filter(({ turn }) => isOpen(turn));
    const saying = this.#speaking || open.some(({ reply }) => reply.status === "streaming");
    const asked = open.some(({ turn }) => turn.state === "sent");
    this.view.state(saying ? "speaking" : asked ? "thinking" : "idle");
  }
}
