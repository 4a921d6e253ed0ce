// Inside the audio thread: the microphone as blocks of 40 ms, PCM16 at 24 kHz.

import { Resampler } from "./resampler.js";

const RATE = 24_000;
const BLOCK = 960; // samples

class Capture extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE);
  #block = new Int16Array(BLOCK);
  #filled = 0;

  process([[channel]]) {
    if (!channel) return true;
    for (const sample of this.#resampler.push(channel)) {
      this.#block[this.#filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32_767);
      if (this.#filled < BLOCK) continue;
      this.port.postMessage(this.#block, [this.#block.buffer]);
      this.#block = new Int16Array(BLOCK);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
