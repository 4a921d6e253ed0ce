// What is still to be heard: tracks of samples, one after the other, without a gap. Knows
// nothing of the browser.

const FADE = 120; // samples: 5 ms in which a voice that is cut off falls silent
const FIRST = 960; // samples waited for before the first sound
const AGAIN = 2880; // and after the queue ran dry in the middle of a track

export class PlaybackQueue {
  #tracks = [];
  #tail = new Float32Array(0);
  #wanted = FIRST;
  #dry = true;

  /** @param {(id: string) => void} onended a track was heard to its end */
  constructor(onended) {
    this.onended = onended;
  }

  /** More of a track; a new one follows those before it. @param {Float32Array} samples */
  push(id, samples) {
    const track = this.#find(id) ?? this.#begin(id);
    track.pieces.push(samples);
    track.waiting += samples.length;
  }

  /** Nothing more comes of a track. */
  end(id) {
    const track = this.#find(id);
    if (track) track.complete = true;
    this.#passOver();
  }

  /**
   * The next samples; silence where there are none.
   * @param {Float32Array} output
   * @returns {{id: string, played: number}|null} the track that sounded, and how many of its
   *   samples were given out by now
   */
  read(output) {
    const faded = Math.min(output.length, this.#tail.length);
    output.set(this.#tail.subarray(0, faded));
    this.#tail = this.#tail.subarray(faded);
    if (faded || !this.#ready()) {
      output.fill(0, faded);
      return null;
    }
    let sounded = null;
    for (let at = 0; at < output.length && this.#tracks.length;) {
      const [track] = this.#tracks;
      const count = this.#take(track, output, at);
      at += count;
      if (count) sounded = { id: track.id, played: track.played };
      if (track.waiting === 0 && !track.complete) {
        this.#dry = true;
        this.#wanted = AGAIN;
        output.fill(0, at);
        break;
      }
      this.#passOver();
      if (!this.#tracks.length) output.fill(0, at);
    }
    return sounded;
  }

  /**
   * Falls silent and forgets everything.
   * @returns {{id: string, played: number}[]} the tracks that were not heard to their end,
   *   with the samples that were
   */
  flush() {
    const [first] = this.#tracks;
    const cut = this.#tracks.map(({ id, played }) => ({ id, played }));
    if (first?.played && !this.#dry) {
      const tail = new Float32Array(Math.min(FADE, first.waiting));
      this.#take(first, tail, 0);
      this.#tail = tail.map((sample, i) => sample * (1 - i / tail.length));
    }
    this.#tracks = [];
    this.#rest();
    return cut;
  }

  /** Whether enough is there to begin, or to go on after it ran dry. */
  #ready() {
    if (!this.#dry) return this.#tracks.length > 0;
    const [track] = this.#tracks;
    if (!track || (track.waiting < this.#wanted && !track.complete)) return false;
    this.#dry = false;
    return true;
  }

  #take(track, output, at) {
    const from = at;
    while (at < output.length && track.waiting) {
      const [piece] = track.pieces;
      const count = Math.min(output.length - at, piece.length);
      output.set(piece.subarray(0, count), at);
      if (count === piece.length) track.pieces.shift();
      else track.pieces[0] = piece.subarray(count);
      track.waiting -= count;
      at += count;
    }
    track.played += at - from;
    return at - from;
  }

  /** Leaves tracks that were heard to their end. */
  #passOver() {
    while (this.#tracks[0]?.complete && this.#tracks[0].waiting === 0)
      this.onended(this.#tracks.shift().id);
    if (!this.#tracks.length) this.#rest();
  }

  #rest() {
    this.#dry = true;
    this.#wanted = FIRST;
  }

  #find(id) {
    return this.#tracks.find((track) => track.id === id);
  }

  #begin(id) {
    const track = { id, pieces: [], waiting: 0, played: 0, complete: false };
    this.#tracks.push(track);
    return track;
  }
}
