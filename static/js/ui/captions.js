// The captions of a call: both sides, the newest at the foot.

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { setProse } from "./prose.js";

const NEAR = 40; // px from the foot that count as "at the foot"

export class CaptionList {
  #lines = new Map();
  #follows = true;
  #observer = new ResizeObserver(() => this.#keepUp());

  /** @param {string} name of the character @param {"zh"|"en"} language both speak */
  constructor(name, language) {
    this.language = language === "en" ? "en" : "zh-Hans";
    this.element = h("ol", {
      class: "captions",
      role: "log",
      "aria-live": "off", // it is spoken already
      "aria-label": t("call.captions", { name }),
      tabIndex: 0,
      onscroll: () => this.#scrolled(),
    });
    this.#observer.observe(this.element);
  }

  dispose() {
    this.#observer.disconnect();
  }

  /** @param {import("../call/captions.js").Line} line */
  show(line, removed) {
    const known = this.#lines.get(line.id);
    if (removed) {
      known?.remove();
      this.#lines.delete(line.id);
      return;
    }
    const shown = known ?? this.#add(line);
    shown.dataset.cut = line.cut;
    if (line.author === "character") setProse(shown, line.cut ? brokenOff(line.text) : line.text);
    else if (line.text) fill(shown, line.text);
    else fill(shown, petals());
    this.#keepUp();
  }

  #keepUp() {
    if (this.#follows) this.element.scrollTop = this.element.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #add(line) {
    const prose = line.author === "character" ? " prose" : "";
    const lang = line.author === "note" ? null : this.language;
    const shown = h("li", { class: `caption-${line.author}${prose}`, lang });
    this.#lines.set(line.id, shown);
    this.element.append(shown);
    return shown;
  }
}

/** With the dash of a line that was interrupted. */
function brokenOff(text) {
  return `${text.trim().replace(/[，。！？；：、,.!?;:…]+$/u, "")}——`;
}

function petals() {
  return h("span", { class: "petals", "aria-hidden": true }, h("i"), h("i"), h("i"));
}
