// The stage: a doorway with the character in it, who waits, listens, thinks or speaks.

import { h, setVars } from "../dom.js";
import { t } from "../i18n.js";
import { paint, portrait } from "./portrait.js";

/** Its states; `static/css/stage.css` moves each in its own way. */
export const STATES = ["idle", "listening", "thinking", "speaking"];

export class Stage {
  #mood = "";
  state = "idle";

  /** @param {object} role */
  constructor(role, ...extras) {
    this.role = role;
    this.moodLine = h("p", { class: "stage-mood" });
    this.doorway = h(
      "div",
      { class: "doorway" },
      h("div", { class: "doorway-ripple", "aria-hidden": true }),
      h("div", { class: "doorway-ripple second", "aria-hidden": true }),
      h("div", { class: "doorway-frame" }, portrait(role)),
      h("div", { class: "doorway-drops", "aria-hidden": true }, h("i"), h("i"), h("i")),
      h("div", { class: "doorway-branch", "aria-hidden": true }),
    );
    const name = h(
      "h1",
      { class: "stage-name", lang: role.language === "en" ? "en" : "zh-Hans" },
      role.name,
    );
    if (/^[\p{Script=Han}·]{1,5}$/u.test(role.name)) name.dataset.short = "";
    const voice = role.voice_in_use;
    const words = voice && t("voice.instead", { name: voice.voice_name });
    const note = voice && h("p", { class: "stage-note" }, words);
    this.plate = h("div", { class: "stage-plate" }, name, this.moodLine, note);
    this.element = h(
      "section",
      { class: "stage", "aria-label": t("stage.label", { name: role.name }) },
      h("div", { class: "stage-lattice", "aria-hidden": true }),
      this.doorway,
      this.plate,
      extras,
    );
    paint(this.element, role);
    this.setState("idle");
  }

  /** One of STATES. */
  setState(state) {
    this.state = state;
    this.element.dataset.state = state;
    if (state === "idle") this.setLevel(0);
    this.moodLine.textContent =
      state === "idle" ? this.#mood || this.role.tagline || "" : t(`state.${state}`);
  }

  /** How loud it is, 0..1: the frame answers. */
  setLevel(level) {
    setVars(this.doorway, { "--level": level.toFixed(3) });
  }

  /** What the character does or feels, as the last reply's stage direction has it. */
  setMood(text) {
    this.#mood = text;
    this.setState(this.state);
  }
}
