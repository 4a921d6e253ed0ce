// Who speaks in a call: OpenAI's Realtime protocol, as a client of the web page sees it.

import { encode } from "../audio/pcm.js";
import { CLOSING, HARMLESS, kindOf } from "./errors.js";
import { nothing, settings, turns } from "./settings.js";

const PATIENCE = 45_000; // ms for an answer to begin; the server gives up sooner
const STALLED = 800; // ms without sound after which the character is thinking again
const EARLY = 90_000; // ms before the end of a session, from when on a pause is used to renew it
const SHORT = 240_000; // ms; a session said to end sooner ends by itself: our clock may be wrong

/**
 * One conversation over lines that may break and be replaced. Its facts are for `phaseOf`:
 * `connected`, `lost`, `heard`, `awaited`, `speaking`; `due` and `pauses` say when to renew one.
 */
export class Dialogue {
  #holding = false; // the button is held down
  #noticed = false; // the server hears the user
  #uttered = null; // id of what the user says, until it is taken
  #response = null; // id of the one under way
  #void = new Set(); // ids of responses nobody wants to hear any more
  #unwanted = false; // the answer to come was called off before it began
  #voiced = false; // the response under way has sent audio
  #unheard = false; // the utterance was not understood, and that was said
  #broken = false; // the line was lost while something was said
  #ending = 0; // timer of the session's last minutes
  #timer = 0; // of an answer that does not begin
  #stall = 0; // of one that stops in the middle
  connected = false;
  lost = false;
  awaited = false;
  speaking = false;
  due = false; // the session ends, and is to be renewed

  /**
   * @param {object} ends `send(event)`, `loudspeaker`, `captions`, `language` of the character,
   *   `onchange()` when a fact changed, `onproblem(kind)` with kinds "failed" (no answer),
   *   "declined" (the answer was withheld), "unheard" (not understood), those of `kindOf` and
   *   "refused" (anything else), `onback(how)` when a lost line was replaced: "broken" off in
   *   mid-sentence, "renewed" at the end of a session, "expired" in the midst of it, or "back"
   *   after nothing but a pause
   */
  constructor(ends) {
    Object.assign(this, ends);
  }

  /** The user is speaking. */
  get heard() {
    return this.#holding || this.#noticed;
  }

  /** Whether nobody says anything, and nothing is on its way. */
  get pauses() {
    return this.connected && !this.heard && !this.awaited && !this.speaking;
  }

  /** A line is open. @param {boolean} byHand */
  begin(byHand) {
    this.send(settings(this.language, byHand));
  }

  /** Asks for a sign of life; it changes nothing. */
  touch() {
    this.send(nothing());
  }

  /** The line is gone. What of the reply was not heard by now is not heard any more. */
  drop() {
    if (this.connected) this.#broken = this.heard || this.awaited || this.speaking;
    this.lost ||= this.connected;
    this.connected = false;
    this.#response = null;
    this.#unwanted = false;
    this.#await(false);
    this.#holding = this.#noticed = false;
    clearTimeout(this.#ending);
    this.captions.abandon();
    this.#silence();
    this.onchange();
  }

  /** Whether the silence or a button ends what the user says. */
  setByHand(byHand) {
    this.#holding = this.#noticed = false;
    this.send({ type: "input_audio_buffer.clear" });
    this.send(turns(byHand));
    this.onchange();
  }

  /** 40 ms of the microphone. @param {Int16Array} samples */
  hear(samples) {
    this.send({ type: "input_audio_buffer.append", audio: encode(samples) });
  }

  /** The button is held down. */
  press() {
    this.interrupt();
    this.send({ type: "input_audio_buffer.clear" });
    this.#holding = true;
    this.onchange();
  }

  /** The button is let go. @param {boolean} said whether it was long enough for words */
  letGo(said) {
    this.#holding = false;
    if (said) {
      this.#unwanted = false;
      this.send({ type: "input_audio_buffer.commit" });
      this.send({ type: "response.create" });
      this.#await(true);
    } else this.send({ type: "input_audio_buffer.clear" });
    this.onchange();
  }

  /** Cuts the character short. @returns {Promise<void>} when the server has been told */
  async interrupt() {
    if (this.#response || this.awaited) this.send({ type: "response.cancel" });
    this.#unwanted = this.awaited && !this.#response; // of what was heard, an answer may follow
    this.#forgo(this.#response);
    this.#await(false);
    await this.#cutOff();
  }

  /** An event of the server. */
  receive(event) {
    if (event.response_id && this.#void.has(event.response_id)) return;
    this.#handlers[event.type]?.(event);
  }

  /** So much of an item was heard. */
  onplayed(id, ms) {
    this.captions.heard(id, ms);
    clearTimeout(this.#stall);
    this.#stall = setTimeout(() => this.#stalled(), STALLED);
    if (this.speaking) return;
    this.speaking = true;
    this.#await(false);
    this.onchange();
  }

  /** An item was heard to its end. */
  onended(id) {
    this.captions.finish(id);
    this.#hush();
    this.onchange();
  }

  #handlers = {
    "session.updated": ({ session }) => {
      if (this.connected) return;
      this.connected = true;
      this.#foresee(session?.expires_at * 1000 - Date.now());
      if (this.lost) this.onback(this.#how());
      this.due = this.#broken = false;
      this.onchange();
    },
    "input_audio_buffer.speech_started": ({ item_id: id }) => {
      this.#forgo(this.#response);
      this.#unwanted = false;
      this.#await(false);
      this.#noticed = true;
      this.#uttered = id;
      this.#cutOff();
      this.captions.userSpeaks(id);
      this.onchange();
    },
    "input_audio_buffer.speech_stopped": () => {
      this.#noticed = false;
      this.#await(true);
      this.onchange();
    },
    "input_audio_buffer.cleared": () => {
      if (this.#uttered) this.captions.abandon(this.#uttered);
      this.#uttered = null;
    },
    "input_audio_buffer.committed": ({ item_id: id }) => {
      this.#noticed = false;
      this.#uttered = null;
      this.captions.userSpeaks(id);
      this.onchange();
    },
    "conversation.item.input_audio_transcription.delta": ({ item_id: id, delta }) =>
      this.captions.userMore(id, delta),
    "conversation.item.input_audio_transcription.completed": ({ item_id: id, transcript }) => {
      this.captions.userSaid(id, transcript);
      if (transcript.trim() || this.#response) return;
      this.#await(false); // it was no speech: nobody answers
      this.onchange();
    },
    "conversation.item.input_audio_transcription.failed": ({ item_id: id, error }) => {
      this.captions.userSaid(id, "");
      this.#unheard = true;
      this.onproblem(kindOf(error.code, "unheard"));
    },
    "response.created": ({ response }) => {
      this.#response = response.id;
      this.#voiced = false;
      if (this.#unwanted) this.interrupt();
      else this.#await(true);
      this.onchange();
    },
    "response.output_audio_transcript.delta": ({ item_id: id, delta }) =>
      this.captions.sentence(id, delta, this.loudspeaker.given(id)),
    "response.output_audio.delta": ({ item_id: id, delta }) => {
      this.#voiced = true;
      this.loudspeaker.play(id, delta);
    },
    "response.output_audio.done": ({ item_id: id }) => this.loudspeaker.end(id),
    "response.done": ({ response }) => this.#done(response),
    error: ({ error }) => {
      if (CLOSING.has(error.code)) this.due = true;
      else if (!HARMLESS.has(error.code)) {
        console.warn(`${error.code}: ${error.message}`); // for whoever looks into it
        this.onproblem(kindOf(error.code, "refused"));
      }
    },
  };

  #done(response) {
    if (response.id === this.#response) this.#response = null;
    if (this.#void.delete(response.id)) return;
    if (!this.#voiced) {
      for (const { id } of response.output ?? []) this.captions.finish(id);
      this.#await(false);
    }
    if (response.status === "failed" && !this.#unheard)
      this.onproblem(kindOf(response.status_details?.error?.code, "failed"));
    if (response.status === "incomplete" && !this.#voiced) this.onproblem("declined");
    this.#unheard = false;
    this.onchange();
  }

  /** The session ends in so many ms: better to renew it in a pause than in mid-sentence. */
  #foresee(ms) {
    if (!(ms > SHORT)) return;
    this.#ending = setTimeout(() => {
      this.due = true;
      this.onchange();
    }, ms - EARLY);
  }

  #how() {
    if (this.due) return this.#broken ? "expired" : "renewed";
    return this.#broken ? "broken" : "back";
  }

  /** Falls silent, and tells the server how much was heard. */
  async #cutOff() {
    const cut = await this.#silence();
    for (const { id, ms } of cut)
      this.send({
        type: "conversation.item.truncate",
        item_id: id,
        content_index: 0,
        audio_end_ms: ms,
      });
  }

  #stalled() {
    this.#hush();
    this.#await(Boolean(this.#response));
    this.onchange();
  }

  #hush() {
    clearTimeout(this.#stall);
    this.speaking = false;
  }

  async #silence() {
    this.#hush();
    const flushed = this.loudspeaker.flush();
    this.onchange();
    const cut = await flushed;
    for (const { id, ms } of cut) {
      this.captions.heard(id, ms);
      this.captions.cut(id);
    }
    return cut;
  }

  #forgo(response) {
    if (response) this.#void.add(response);
    this.#response = null;
  }

  #await(awaited) {
    clearTimeout(this.#timer);
    this.awaited = awaited;
    if (!awaited) return;
    this.#timer = setTimeout(() => {
      this.awaited = false;
      this.onproblem("failed");
      this.onchange();
    }, PATIENCE);
  }
}
