// A small player for one piece of speech.

import { speak } from "../audio/speech.js";
import { h, iconButton, relabel, setIcon, setVars } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "./feedback.js";

// The length of a stored file is asked for when its player comes into sight, not before.
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    target.dispatchEvent(new Event("sighted"));
    sight.unobserve(target);
  }
});

/** "0:07" */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Where a file is played from: our own by path, whatever name the server is reached by. */
export function playable(address) {
  const url = new URL(address, location.href);
  const own = /^\/(uploads|samples|speech|static\/voices)\//.test(url.pathname);
  return own ? url.pathname + url.search : url.href;
}

/**
 * @param {object} options `url`, or `audio` that plays already; `seconds` where the length is
 *   known (a recorder's webm does not say); `label` for the play button
 */
export class Player {
  #seconds;
  #listening = null;

  constructor({ url = "", audio = null, seconds = 0, label = t("player.play") }) {
    this.#seconds = seconds;
    this.label = label;
    this.button = iconButton("play", label, {
      class: "player-button",
      onclick: () => this.toggle(),
    });
    this.slider = h("input", {
      type: "range",
      class: "player-slider",
      min: 0,
      max: 1000,
      value: 0,
      "aria-label": t("player.position"),
      oninput: () => this.#seek(),
    });
    this.time = h("span", { class: "player-time" }, seconds ? clock(seconds) : "");
    this.element = h("div", { class: "player" }, this.button, this.slider, this.time);
    this.attach(audio ?? Object.assign(new Audio(), { preload: "none" }));
    if (url) this.setUrl(url);
  }

  /** Shows and steers another audio element. */
  attach(audio) {
    this.#listening?.abort();
    this.#listening = new AbortController();
    this.audio = audio;
    const { signal } = this.#listening;
    for (const name of ["play", "pause", "ended", "timeupdate", "durationchange"]) {
      audio.addEventListener(name, () => this.#show(), { signal });
    }
    this.#show();
  }

  /** The stored file; taken up when what plays now is over. */
  setUrl(url) {
    const take = () => {
      const audio = Object.assign(new Audio(), { preload: "none", src: playable(url) });
      this.attach(audio);
      if (this.#seconds) return;
      this.element.addEventListener("sighted", () => (audio.preload = "metadata"), { once: true });
      sight.observe(this.element);
    };
    if (this.audio.paused) take();
    else this.audio.addEventListener("pause", take, { once: true });
  }

  async toggle() {
    if (!this.audio.paused) {
      this.audio.pause();
      return;
    }
    try {
      await speak(this.audio);
    } catch (error) {
      if (error.name !== "AbortError") toast(t("player.failed"), "error");
    }
  }

  dispose() {
    this.#listening?.abort();
    sight.unobserve(this.element);
    this.audio.pause();
  }

  get #length() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.#seconds;
  }

  #seek() {
    if (this.#length) this.audio.currentTime = (this.slider.value / 1000) * this.#length;
  }

  #show() {
    const { audio } = this;
    setIcon(this.button, audio.paused ? "play" : "pause");
    relabel(this.button, audio.paused ? this.label : t("player.pause"));
    const part = this.#length ? Math.min(1, audio.currentTime / this.#length) : 0;
    this.slider.value = String(Math.round(part * 1000));
    setVars(this.slider, { "--part": `${(part * 100).toFixed(1)}%` });
    const shown = audio.paused && audio.currentTime === 0 ? this.#length : audio.currentTime;
    this.time.textContent = shown || this.#length ? clock(shown) : "";
    this.slider.setAttribute("aria-valuetext", clock(audio.currentTime));
  }
}
