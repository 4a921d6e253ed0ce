// What of the microphone goes to the server. Knows nothing of the browser.

const BLOCK_MS = 40; // of each block that comes
const BEFORE = 4; // blocks kept from before the button was pressed: one speaks at once
const AFTER = 2; // and sent after it was let go: the last syllable outlasts the finger
const TAIL = 15; // blocks of silence after muting: what was said has an end
const LONGEST_TAIL = 125; // where the server still hears somebody

export class Gate {
  #muted = false;
  #byHand = false;
  #holding = false;
  #recent = [];
  #held = 0; // blocks that came while the button was held
  #after = 0;
  #released = null;
  #tail = 0;

  /** @param {(samples: Int16Array) => void} send */
  constructor(send) {
    this.send = send;
  }

  /** The next 40 ms of the microphone. @param {boolean} heard the server hears somebody */
  push(samples, heard) {
    if (this.#byHand) this.#pushByHand(samples);
    else if (!this.#muted) this.send(samples);
    else if (this.#tail > 0 && (heard || this.#tail > LONGEST_TAIL - TAIL)) {
      this.#tail--;
      this.send(new Int16Array(samples.length));
    } else this.#tail = 0;
  }

  /** While muted nothing is sent but a tail of silence, by which the server notices. */
  setMuted(muted) {
    this.#muted = muted;
    this.#tail = muted ? LONGEST_TAIL : 0;
  }

  setByHand(byHand) {
    this.#byHand = byHand;
    this.#stop();
  }

  /** The button is held down: everything is sent until it is let go. */
  press() {
    const before = this.#recent;
    this.#stop();
    this.#holding = true;
    this.#held = 0;
    for (const block of before) this.send(block);
  }

  /**
   * The button is pressed again before all was sent: the finger bounced, it is still the same
   * utterance. @returns {boolean} whether that was so
   */
  takeBack() {
    if (!this.#released) return false;
    this.#released(null);
    this.#released = null;
    return true;
  }

  /**
   * The button is let go.
   * @returns {Promise<number|null>} ms it was held, when all is sent; null: it was taken back
   */
  letGo() {
    if (!this.#holding) return Promise.resolve(0);
    this.#after = AFTER;
    return new Promise((resolve) => (this.#released = resolve));
  }

  #pushByHand(samples) {
    if (this.#muted) {
      this.#stop();
      return;
    }
    if (!this.#holding) {
      this.#recent.push(samples);
      if (this.#recent.length > BEFORE) this.#recent.shift();
      return;
    }
    this.send(samples);
    if (!this.#released) this.#held++;
    else if (--this.#after === 0) this.#stop();
  }

  #stop() {
    this.#holding = false;
    this.#recent = [];
    this.#released?.(this.#held * BLOCK_MS);
    this.#released = null;
  }
}
