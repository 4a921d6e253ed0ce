// Inside the audio thread: hands the microphone's samples on, 1024 at a time.

class Capture extends AudioWorkletProcessor {
  #frame = new Float32Array(1024);
  #filled = 0;

  process([[channel]]) {
    if (!channel) return true;
    for (let at = 0; at < channel.length;) {
      const part = Math.min(channel.length - at, this.#frame.length - this.#filled);
      this.#frame.set(channel.subarray(at, at + part), this.#filled);
      at += part;
      this.#filled += part;
      if (this.#filled < this.#frame.length) break;
      this.port.postMessage(this.#frame.slice());
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
