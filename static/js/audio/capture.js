// The microphone during a call.

import { openMicrophone, release } from "./microphone.js";
import { RATE } from "./pcm.js";

const WORKLET = new URL("./capture-worklet.js", import.meta.url).href;

export class Capture {
  #stream;
  #context;

  /**
   * Opens the microphone, and hears until it is closed.
   * @param {object} options `device` (an id, "" for the system's choice), `onblock(samples)`
   *   with each 40 ms (Int16Array, 24 kHz), `onlost()` where it was unplugged or taken away, and
   *   `onasleep(asleep)` when the system stills it for a while (a telephone rings) and gives it back
   * @returns {Promise<Capture>}
   * @throws {import("./microphone.js").MicrophoneError}
   */
  static async open({ device = "", onblock, onlost, onasleep }) {
    const capture = new Capture();
    capture.#stream = await openMicrophone(device);
    try {
      await capture.#connect(onblock);
    } catch (error) {
      capture.close();
      throw error;
    }
    capture.#track.onended = () => onlost();
    const look = () => {
      capture.wake();
      onasleep(capture.asleep);
    };
    capture.#track.onmute = capture.#track.onunmute = capture.#context.onstatechange = look;
    return capture;
  }

  /** The id of the device that is heard in fact. */
  get device() {
    return this.#track.getSettings().deviceId ?? "";
  }

  /** Whether the system has stilled it. */
  get asleep() {
    return this.#track.muted || this.#context.state !== "running";
  }

  close() {
    this.#track.onended = this.#track.onmute = this.#track.onunmute = null;
    release(this.#stream);
    if (!this.#context) return;
    this.#context.onstatechange = null;
    this.#context.close();
  }

  /** Asks a sleeping context to go on: another program may have had the microphone. */
  wake() {
    if (this.#context.state !== "running") this.#context.resume().catch(() => {}); // not yet
  }

  get #track() {
    return this.#stream.getAudioTracks()[0];
  }

  async #connect(onblock) {
    const source = this.#source();
    await this.#context.audioWorklet.addModule(WORKLET);
    const node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => onblock(data);
    source.connect(node);
    await this.#context.resume();
  }

  /** At 24 kHz where the browser converts; else at the microphone's rate, and the worklet does. */
  #source() {
    this.#context = new AudioContext({ sampleRate: RATE });
    try {
      return this.#context.createMediaStreamSource(this.#stream);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      this.#context.close();
      this.#context = new AudioContext();
      return this.#context.createMediaStreamSource(this.#stream);
    }
  }
}
