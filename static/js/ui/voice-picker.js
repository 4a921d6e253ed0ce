// Choosing a voice by ear: among a few dozen by tabs, among hundreds by kind and name.

import { speak } from "../audio/speech.js";
import { h, icon, iconButton, relabel, setIcon } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "./feedback.js";
import { playable } from "./player.js";

const TABS = 6; // more kinds than this are a list
const MANY = 60; // more voices than this are searched
const KNOWN = { 中文: "voice.chinese", 英文: "voice.english", 双语音色: "voice.bilingual" };

/** The contract's categories in the page's language; a vendor's own word as it is. */
function categoryName(category) {
  return KNOWN[category] ? t(KNOWN[category]) : category;
}

export class VoicePicker {
  #audio = Object.assign(new Audio(), { preload: "none" });
  #button = null;
  #category = "";
  #search = "";

  /**
   * @param {object[]} voices of `/api/voiceTypes`
   * @param {object} role whose `voice_type` is chosen, on offer or not
   */
  constructor(voices, { voice_type: chosen, voice_in_use: instead }) {
    this.rows = voices.map((voice) => this.#row(voice, voice.voice_type === chosen));
    if (chosen && !this.rows.some(({ radio }) => radio.checked)) {
      const kept = { voice_type: chosen, voice_name: t("voice.kept"), category: "" };
      this.rows.unshift(this.#row(kept, true));
    }
    const categories = ["", ...new Set(voices.map(({ category }) => category))];
    this.none = h("p", { class: "voices-none", role: "status", hidden: true }, t("voice.none"));
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
      instead &&
        h("p", { class: "field-hint" }, t("voice.instead.choose", { name: instead.voice_name })),
      h(
        "div",
        { class: "voices-filter" },
        categories.length > TABS ? this.#list(categories) : this.#tabs(categories),
        voices.length > MANY && this.#searchBox(),
      ),
      this.group,
      this.none,
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
        h("small", {}, categoryName(voice.category) || voice.voice_type),
      ),
      voice.sample_url && play,
    );
    return { element, radio, voice };
  }

  #tabs(categories) {
    const buttons = categories.map((category) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": category === "",
          onclick: ({ currentTarget }) => {
            for (const each of buttons) each.setAttribute("aria-pressed", each === currentTarget);
            this.#filter({ category });
          },
        },
        category ? categoryName(category) : t("voice.all"),
      ),
    );
    return h(
      "div",
      { class: "tabs small", role: "group", "aria-label": t("voice.filter") },
      buttons,
    );
  }

  #list(categories) {
    return h(
      "select",
      {
        "aria-label": t("voice.filter"),
        onchange: ({ currentTarget }) => this.#filter({ category: currentTarget.value }),
      },
      categories.map((value) =>
        h("option", { value }, value ? categoryName(value) : t("voice.all")),
      ),
    );
  }

  #searchBox() {
    const box = h("input", {
      type: "search",
      placeholder: t("voice.search"),
      "aria-label": t("voice.search"),
      autocomplete: "off",
      oninput: () => this.#filter({ search: box.value.trim().toLowerCase() }),
      onkeydown: (event) => event.key === "Enter" && event.preventDefault(),
    });
    return h("label", { class: "search" }, icon("search"), box);
  }

  /** Shows what fits, and the chosen one. */
  #filter({ category = this.#category, search = this.#search }) {
    this.#category = category;
    this.#search = search;
    let shown = 0;
    for (const { element, voice, radio } of this.rows) {
      const words = `${voice.voice_name} ${voice.voice_type} ${voice.category}`.toLowerCase();
      const fits = (!category || voice.category === category) && words.includes(search);
      element.hidden = !fits && !radio.checked;
      shown += fits;
    }
    this.none.hidden = shown > 0;
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
