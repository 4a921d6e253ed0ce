// The microphone during a call: frames, loudness, and utterances cut out of them.

import { EndpointDetector } from "./endpoint.js";
import { loudness, openMicrophone, release } from "./microphone.js";
import { wavOf } from "./wav.js";

const WORKLET = new URL("./capture-worklet.js", import.meta.url).href;
const SHORTEST = 0.5; // s held down; less was a slip of the finger

export class Listener {
  #mode = "off";

  /**
   * Opens the microphone; hears nothing until it is told to.
   * @param {object} handlers `onlevel(0..1)`, `onbegin()`, `onutterance(wav: Blob)`
   * @returns {Promise<Listener>}
   * @throws {import("./microphone.js").MicrophoneError}
   */
  static async open(handlers) {
    const listener = new Listener();
    listener.handlers = handlers;
    listener.stream = await openMicrophone();
    listener.context = new AudioContext();
    await listener.context.audioWorklet.addModule(WORKLET);
    listener.detector = new EndpointDetector(listener.context.sampleRate);
    listener.node = new AudioWorkletNode(listener.context, "capture", { numberOfOutputs: 0 });
    listener.node.port.onmessage = (event) => listener.#hear(event.data);
    listener.context.createMediaStreamSource(listener.stream).connect(listener.node);
    await listener.context.resume();
    return listener;
  }

  /** "off", "auto" (utterances by their silences), "held" (all until `letGo`). */
  listen(mode) {
    if (this.#mode === mode) return;
    this.#mode = mode;
    this.detector.reset();
    this.held = [];
    if (mode === "off") this.handlers.onlevel(0);
  }

  /** Ends what was held; it becomes an utterance unless it is too short. */
  async letGo() {
    if (this.#mode !== "held") return;
    const samples = join(this.held);
    this.listen("off");
    if (samples.length > SHORTEST * this.context.sampleRate) await this.#utter(samples);
  }

  close() {
    this.#mode = "off";
    this.node.port.onmessage = null;
    release(this.stream);
    this.context.close();
  }

  #hear(frame) {
    if (this.#mode === "off") return;
    this.handlers.onlevel(loudness(frame));
    if (this.#mode === "held") {
      if (this.held.length * frame.length < 58 * this.context.sampleRate) this.held.push(frame);
      return;
    }
    const event = this.detector.push(frame);
    if (event === "begin") this.handlers.onbegin();
    if (event === "end") {
      const samples = this.detector.take();
      this.listen("off");
      this.#utter(samples);
    }
  }

  async #utter(samples) {
    this.handlers.onutterance(await wavOf(samples, this.context.sampleRate));
  }
}

function join(frames) {
  const samples = new Float32Array(frames.length * (frames[0]?.length ?? 0));
  frames.forEach((frame, i) => samples.set(frame, i * frame.length));
  return samples;
}
