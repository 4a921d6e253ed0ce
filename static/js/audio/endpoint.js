// Where somebody begins and ends to speak, by energy above the room's own noise.

import { decibels } from "./microphone.js";

const ABOVE_NOISE = 12; // dB that make speech
const QUIETEST = -52; // dBFS: less is never speech, however still the room
const BEGIN = 0.12; // s of speech that begin an utterance
const END = 0.8; // s of silence that end it
const BEFORE = 0.4; // s kept from before it was noticed
const LONGEST = 58; // s; the server takes 60
const SETTLING = 0.3; // s at first in which the room alone is listened to
const LOUDEST_ROOM = -45; // dBFS taken for noise while settling: somebody may speak already

/** Cuts frames of samples into utterances. Knows nothing of the browser. */
export class EndpointDetector {
  #noise = -60;
  #heard = 0;
  #frames = [];
  #loud = 0;
  #quiet = 0;
  speaking = false;

  /** @param {number} rate samples a second */
  constructor(rate) {
    this.rate = rate;
  }

  /**
   * The next frame.
   * @param {Float32Array} frame mono, -1..1
   * @returns {"begin"|"end"|null} at "end", `take()` has the utterance
   */
  push(frame) {
    const seconds = frame.length / this.rate;
    const level = decibels(frame);
    if (this.#heard < SETTLING) {
      this.#noise = Math.min(level, LOUDEST_ROOM);
      this.#heard += seconds;
    }
    const loud = level > Math.max(QUIETEST, this.#noise + ABOVE_NOISE);
    // Down at once, up slowly, and slower still while somebody speaks.
    const pace = level < this.#noise ? 0.3 : loud ? 0.002 : 0.05;
    this.#noise += (Math.max(level, -90) - this.#noise) * pace;
    this.#loud = loud ? this.#loud + seconds : 0;
    this.#quiet = loud ? 0 : this.#quiet + seconds;
    this.#frames.push(frame);
    if (!this.speaking) {
      const kept = Math.ceil((BEFORE + this.#loud) / seconds);
      if (this.#frames.length > kept) this.#frames.splice(0, this.#frames.length - kept);
      if (this.#loud < BEGIN) return null;
      this.speaking = true;
      return "begin";
    }
    if (this.#quiet < END && this.#frames.length * seconds < LONGEST) return null;
    this.speaking = false;
    return "end";
  }

  /** What was gathered, as one piece; and begins anew. */
  take() {
    const samples = new Float32Array(this.#frames.reduce((sum, frame) => sum + frame.length, 0));
    let at = 0;
    for (const frame of this.#frames) {
      samples.set(frame, at);
      at += frame.length;
    }
    this.reset();
    return samples;
  }

  /** Forgets what was gathered, not how noisy the room is. */
  reset() {
    this.#frames = [];
    this.#loud = this.#quiet = 0;
    this.speaking = false;
  }
}
