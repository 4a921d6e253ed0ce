// Choosing a voice by ear.

import { speak } from "../audio/speech.js";
import { h, iconButton, relabel, setIcon } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "./feedback.js";
import { playable } from "./player.js";

const KNOWN = { 中文: "voice.chinese", 英文: "voice.english", 双语音色: "voice.bilingual" };

/** The contract's categories in the page's language; a vendor's own word as it is. */
function categoryName(category) {
  return KNOWN[category] ? t(KNOWN[category]) : category;
}

export class VoicePicker {
  #audio = Object.assign(new Audio(), { preload: "none" });
  #button = null;

  /** @param {object[]} voices of `/api/voiceTypes` @param {string} [chosen] a voice_type */
  constructor(voices, chosen) {
    this.rows = voices.map((voice) => this.#row(voice, voice.voice_type === chosen));
    const categories = ["", ...new Set(voices.map(({ category }) => category))];
    const filters = categories.map((category) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": category === "",
          onclick: (event) => this.#filter(category, filters, event.currentTarget),
        },
        category ? categoryName(category) : t("voice.all"),
      ),
    );
    this.error = h("p", { class: "field-error", id: "voice-error", hidden: true });
    this.group = h(
      "div",
      {
        class: "voices",
        role: "radiogroup",
        "aria-label": t("form.voice_type"),
        "aria-describedby": "voice-error",
      },
      this.rows.map(({ element }) => element),
    );
    this.element = h(
      "div",
      { class: "field" },
      h("div", { class: "tabs small", role: "group", "aria-label": t("voice.filter") }, filters),
      this.group,
      this.error,
    );
    for (const name of ["pause", "ended"]) this.#audio.addEventListener(name, () => this.#silent());
    const checked = this.rows.find(({ radio }) => radio.checked);
    if (checked)
      requestAnimationFrame(
        () => (this.group.scrollTop = checked.element.offsetTop - this.group.offsetTop - 60),
      );
  }

  /** The chosen voice_type; "" for none. */
  get value() {
    return this.rows.find(({ radio }) => radio.checked)?.radio.value ?? "";
  }

  /** What takes the focus where the choice is wrong. */
  get input() {
    return this.rows[0]?.radio ?? this.group;
  }

  dispose() {
    this.#audio.pause();
  }

  #row(voice, checked) {
    const radio = h("input", {
      type: "radio",
      name: "voice_type",
      value: voice.voice_type,
      checked,
    });
    const play = iconButton("play", t("voice.play", { name: voice.voice_name }), {
      class: "small",
      onclick: () => this.#play(voice, play),
    });
    const element = h(
      "div",
      { class: "voice" },
      h(
        "label",
        {},
        radio,
        h("span", { class: "voice-name" }, voice.voice_name),
        h("small", {}, categoryName(voice.category)),
      ),
      play,
    );
    return { element, radio, voice };
  }

  #filter(category, buttons, pressed) {
    for (const button of buttons) button.setAttribute("aria-pressed", button === pressed);
    for (const { element, voice, radio } of this.rows) {
      element.hidden = category !== "" && voice.category !== category && !radio.checked;
    }
  }

  async #play(voice, button) {
    const again = this.#button === button;
    this.#audio.pause();
    if (again) return;
    this.#button = button;
    setIcon(button, "pause");
    relabel(button, t("voice.stop"));
    this.#audio.src = playable(voice.sample_url);
    this.playing = voice;
    try {
      await speak(this.#audio);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#silent();
      toast(t("voice.failed"), "error");
    }
  }

  #silent() {
    if (!this.#button) return;
    setIcon(this.#button, "play");
    relabel(this.#button, t("voice.play", { name: this.playing.voice_name }));
    this.#button = null;
  }
}
