// Where one writes or speaks.

import { fill, h, icon, iconButton, relabel, setIcon } from "../dom.js";
import { t } from "../i18n.js";
import { load, save } from "../store.js";
import { healthChip } from "./health-chip.js";
import { RecorderBar } from "./recorder-bar.js";

const TALLEST = 180; // px of the text field
const LONGEST = 8000; // characters, as the server takes them

export class Composer {
  #busy = false;

  /**
   * @param {object} options `name` of the character, `draft` (the key under which an unsent
   *   text is kept), `onsend(text, responseType)`, `onvoice(recording, responseType)`,
   *   `onstop()`, `onrecording(level|null)`
   */
  constructor(options) {
    Object.assign(this, options);
    this.text = h("textarea", {
      rows: 1,
      maxLength: LONGEST,
      placeholder: t("composer.placeholder", { name: this.name }),
      "aria-label": t("composer.placeholder", { name: this.name }),
      value: load(this.draft, ""),
      enterKeyHint: "send",
      oninput: () => this.#changed(),
      onkeydown: (event) => this.#key(event),
    });
    this.mode = h(
      "select",
      { "aria-label": t("mode.label"), onchange: () => save("mode", Number(this.mode.value)) },
      [0, 1, 2].map((value) => h("option", { value }, t(`mode.${value}`))),
    );
    this.mode.value = String(load("mode", 0));
    this.main = iconButton("send", t("send"), {
      class: "composer-main",
      onclick: () => this.#act(),
    });
    this.mic = iconButton("mic", t("record"), { class: "composer-mic" });
    this.reason = h("p", { class: "composer-reason", hidden: true });
    this.row = h("div", { class: "composer-row" }, this.mic, this.text, this.main);
    this.tools = h(
      "div",
      { class: "composer-tools" },
      h(
        "label",
        { class: "chip mode" },
        h("span", {}, t("mode.short")),
        this.mode,
        icon("chevron"),
      ),
      this.#autoplayButton(),
      healthChip(),
      this.reason,
    );
    this.bar = new RecorderBar(this.mic, {
      onrecording: (recording) => {
        this.element.classList.toggle("recording", recording);
        if (!recording) this.onrecording(null);
      },
      onlevel: (level) => this.onrecording(level),
      onvoice: (voice) => this.onvoice(voice, this.responseType),
    });
    this.element = h("div", { class: "composer" }, this.row, this.bar.element, this.tools);
    this.#changed();
  }

  /** 0 text, 1 voice, 2 either: what the answer shall be. */
  get responseType() {
    return Number(this.mode.value);
  }

  /** Whether there is something to stop. */
  setBusy(busy) {
    if (this.#busy === busy) return;
    this.#busy = busy;
    this.#changed();
  }

  /** Takes voice away, with the reason, or gives it back. */
  setVoice({ hears, speaks, reason }) {
    this.mic.disabled = !hears;
    this.mic.title = hears ? t("record") : reason;
    for (const option of this.mode.options) option.disabled = !speaks && option.value !== "0";
    if (!speaks) this.mode.value = "0";
    this.autoplay.hidden = !speaks;
    this.reason.hidden = hears && speaks;
    this.reason.textContent = reason;
  }

  /** Puts words into the field, to be changed. */
  compose(text) {
    this.text.value = text;
    this.#changed();
    this.text.focus();
  }

  /** Makes the field as tall as its text; measured, so it must stand in the page. */
  fit() {
    if (!this.text.isConnected) return;
    this.text.style.setProperty("height", "auto");
    this.text.style.setProperty("height", `${Math.min(TALLEST, this.text.scrollHeight)}px`);
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  dispose() {
    this.bar.dispose();
  }

  #autoplayButton() {
    const show = () => {
      const on = load("autoplay", true);
      setIcon(this.autoplay, on ? "sound" : "sound-off");
      relabel(this.autoplay, t(on ? "autoplay.on" : "autoplay.off"));
      this.autoplay.setAttribute("aria-pressed", on);
    };
    this.autoplay = iconButton("sound", "", {
      class: "small",
      onclick: () => {
        save("autoplay", !load("autoplay", true));
        show();
      },
    });
    show();
    return this.autoplay;
  }

  #key(event) {
    // Enter also ends the composition of a Chinese word: then it is no command (229: Safari).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229)
      return;
    event.preventDefault();
    this.#send();
  }

  #act() {
    if (this.#stops) this.onstop();
    else this.#send();
  }

  #send() {
    const text = this.text.value.trim();
    if (!text) return;
    this.text.value = "";
    this.#changed();
    this.onsend(text, this.responseType);
    this.focus();
  }

  get #stops() {
    return this.#busy && !this.text.value.trim();
  }

  #changed() {
    const { text, main } = this;
    save(this.draft, text.value || null);
    this.fit();
    setIcon(main, this.#stops ? "stop" : "send");
    relabel(main, t(this.#stops ? "stop" : "send"));
    main.disabled = !this.#stops && !text.value.trim();
    main.classList.toggle("stops", this.#stops);
  }
}
