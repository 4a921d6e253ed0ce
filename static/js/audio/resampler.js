// Another sample rate, in blocks as they come. Knows nothing of the browser.

const ZEROS = 16; // zero crossings of the kernel on each side
const STEPS = 256; // entries of its table between two of them
const PASSED = 0.9; // of the narrower band: the rest is the filter's slope

/**
 * Filters with a windowed sinc, so that what the new rate cannot hold does not fold back as
 * noise. However a signal is cut into blocks, the same samples come out.
 */
export class Resampler {
  #table = kernel();
  #kept;
  #at;

  /** @param {number} from samples a second that come in @param {number} to that go out */
  constructor(from, to) {
    this.step = from / to;
    this.cutoff = PASSED * Math.min(1, to / from);
    this.reach = Math.ceil(ZEROS / this.cutoff);
    this.#kept = new Float32Array(this.reach);
    this.#at = this.reach;
  }

  /**
   * The next block.
   * @param {Float32Array} samples mono, -1..1
   * @returns {Float32Array} what can be told by now; about 1 ms is held back
   */
  push(samples) {
    if (this.step === 1) return samples;
    const input = new Float32Array(this.#kept.length + samples.length);
    input.set(this.#kept);
    input.set(samples, this.#kept.length);
    const last = input.length - this.reach;
    const output = new Float32Array(Math.max(0, Math.ceil((last - this.#at) / this.step)));
    let count = 0;
    for (; this.#at < last; this.#at += this.step) output[count++] = this.#sampleAt(input);
    const done = Math.floor(this.#at) - this.reach;
    this.#kept = input.slice(done);
    this.#at -= done;
    return output.subarray(0, count);
  }

  #sampleAt(input) {
    const middle = Math.floor(this.#at);
    let sum = 0;
    for (let i = middle - this.reach + 1; i <= middle + this.reach; i++) {
      const place = Math.abs(i - this.#at) * this.cutoff * STEPS;
      const entry = Math.floor(place);
      if (entry + 1 >= this.#table.length) continue;
      const low = this.#table[entry];
      sum += input[i] * (low + (this.#table[entry + 1] - low) * (place - entry));
    }
    return sum * this.cutoff;
  }
}

/** Half of a sinc under a Blackman window. */
function kernel() {
  return Float32Array.from({ length: ZEROS * STEPS + 1 }, (_, i) => {
    const x = i / STEPS;
    const turn = (Math.PI * x) / ZEROS;
    const blackman = 0.42 + 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
    return x === 0 ? 1 : (Math.sin(Math.PI * x) / (Math.PI * x)) * blackman;
  });
}
