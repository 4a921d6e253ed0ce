// Inside the audio thread: plays the queue, and tells what was really played.

import { PlaybackQueue } from "./playback-queue.js";

const EVERY = 6; // blocks of 128 samples between two reports: 32 ms

class Player extends AudioWorkletProcessor {
  #queue = new PlaybackQueue((id) => this.port.postMessage({ kind: "ended", id }));
  #blocks = 0;
  #power = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  #obey({ kind, id, samples }) {
    if (kind === "push") this.#queue.push(id, samples);
    else if (kind === "end") this.#queue.end(id);
    else if (kind === "flush")
      this.port.postMessage({ kind: "flushed", id, cut: this.#queue.flush() });
  }

  process(_, [[output]]) {
    const sounded = this.#queue.read(output);
    if (!sounded) {
      this.#blocks = 0; // the first block of the next sound is told at once
      return true;
    }
    for (const sample of output) this.#power += sample * sample;
    if (this.#blocks++ % EVERY === 0) {
      const level = Math.sqrt(this.#power / (EVERY * output.length));
      this.port.postMessage({ kind: "played", ...sounded, level });
      this.#power = 0;
    }
    return true;
  }
}

registerProcessor("player", Player);
