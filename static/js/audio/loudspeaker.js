// The character's voice during a call: pieces of PCM in, what was heard of them out.

import { decibelLevel } from "./microphone.js";
import { decode, milliseconds, RATE } from "./pcm.js";

const WORKLET = new URL("./player-worklet.js", import.meta.url).href;
const PATIENCE = 400; // ms for the audio thread to answer

export class Loudspeaker {
  #context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  #node = null;
  #given = new Map(); // id of a track → samples handed to it
  #played = new Map(); // id of a track → samples that were played by the last report
  #flushes = new Map(); // number → what awaits its answer
  #count = 0;

  /**
   * @param {object} handlers `onplayed(id, ms, level)` about 30 times a second while something
   *   sounds, and `onended(id)` when a track was heard to its end
   */
  constructor(handlers) {
    this.handlers = handlers;
    this.#context.onstatechange = () => this.#node && this.wake();
  }

  /** Whether this browser lets one choose the loudspeaker. */
  static get selectable() {
    return "setSinkId" in AudioContext.prototype;
  }

  /** Must be called by a gesture of the user: browsers let sound begin by nothing else. */
  async open() {
    const waking = this.#context.resume();
    await this.#context.audioWorklet.addModule(WORKLET);
    if (!this.#node) this.#connect();
    await waking;
  }

  /** Where it sounds; "" is the system's choice. @throws where that device is gone */
  async useDevice(id) {
    if (Loudspeaker.selectable) await this.#context.setSinkId(id);
  }

  /** More of a track. @param {string} base64 PCM16 at 24 kHz */
  play(id, base64) {
    const samples = decode(base64);
    this.#given.set(id, (this.#given.get(id) ?? 0) + samples.length);
    this.#node.port.postMessage({ kind: "push", id, samples }, [samples.buffer]);
  }

  /** Nothing more comes of a track. */
  end(id) {
    this.#node.port.postMessage({ kind: "end", id });
  }

  /** How many ms of a track were handed over so far: where the next piece begins. */
  given(id) {
    return milliseconds(this.#given.get(id) ?? 0);
  }

  /**
   * Falls silent at once.
   * @returns {Promise<{id: string, ms: number}[]>} the tracks that were cut off, and how much
   *   of each reached the ear
   */
  async flush() {
    const number = ++this.#count;
    const reported = [...this.#given.keys()].map((id) => ({
      id,
      played: this.#played.get(id) ?? 0,
    }));
    this.#given.clear();
    this.#played.clear();
    const answer = new Promise((resolve) => this.#flushes.set(number, resolve));
    this.#node.port.postMessage({ kind: "flush", id: number });
    // A context that the system has put to sleep does not answer.
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, null));
    const cut = (await Promise.race([answer, late])) ?? reported;
    this.#flushes.delete(number);
    return cut.map(({ id, played }) => ({ id, ms: this.#heard(played) }));
  }

  /** Asks a sleeping context to go on. */
  wake() {
    if (this.#context.state !== "running") this.#context.resume().catch(() => {}); // not yet
  }

  close() {
    if (this.#node) this.#node.port.onmessage = null;
    this.#context.onstatechange = null;
    this.#context.close();
  }

  #connect() {
    const options = { numberOfInputs: 0, outputChannelCount: [1] };
    this.#node = new AudioWorkletNode(this.#context, "player", options);
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    this.#node.connect(this.#context.destination);
  }

  #hear({ kind, id, played, level, cut }) {
    if (kind === "flushed") this.#flushes.get(id)?.(cut);
    else if (kind === "played" && !this.#flushes.size) {
      this.#played.set(id, played);
      this.handlers.onplayed(id, this.#heard(played), decibelLevel(20 * Math.log10(level + 1e-5)));
    } else if (kind === "ended") {
      this.#given.delete(id);
      this.#played.delete(id);
      this.handlers.onended(id);
    }
  }

  /** Less what is still on its way to the loudspeaker. */
  #heard(samples) {
    const under = (this.#context.outputLatency || this.#context.baseLatency || 0) * 1000;
    return Math.max(0, Math.round(milliseconds(samples) - under));
  }
}
