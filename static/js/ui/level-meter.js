// How loud it is and was: bars that wander to the left, of whoever speaks.

import { h, setVars } from "../dom.js";

const BARS = 27;
const EVERY = 45; // ms a bar stands for

export class LevelMeter {
  #levels = new Array(BARS).fill(0);
  #loudest = 0;
  #shown = 0;

  constructor() {
    this.bars = Array.from({ length: BARS }, () => h("i"));
    this.element = h("div", { class: "level-meter", "aria-hidden": true }, this.bars);
  }

  /** @param {number} level 0..1 */
  push(level) {
    this.#loudest = Math.max(this.#loudest, level);
    const now = performance.now();
    if (now - this.#shown < EVERY) return;
    this.#shown = now;
    this.#levels.shift();
    this.#levels.push(this.#loudest);
    this.#loudest = 0;
    this.#show();
  }

  /** Whose voice it is: "user", "character" or "nobody". */
  setWhose(who) {
    if (this.element.dataset.whose === who) return;
    this.element.dataset.whose = who;
    if (who !== "nobody") return;
    this.#levels.fill(0);
    this.#show();
  }

  #show() {
    this.bars.forEach((bar, i) => setVars(bar, { "--height": this.#levels[i].toFixed(2) }));
  }
}
