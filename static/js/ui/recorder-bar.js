// Recording a voice message: tap to begin and tap to send, or hold and let go.

import { hush } from "../audio/speech.js";
import { Recorder } from "../audio/recorder.js";
import { announce, h, iconButton, setVars } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "./feedback.js";
import { clock } from "./player.js";

const HELD = 450; // ms after which letting go sends
const AWAY = 90; // px upwards that mean "no"
const SHORTEST = 0.6; // s; less was a slip of the finger
const BARS = 32;

export class RecorderBar {
  #recorder = null;
  #starting = null;
  #held = false;

  /**
   * @param {HTMLButtonElement} button that begins
   * @param {object} handlers `onrecording(on)`, `onlevel(0..1)`, `onvoice(recording)`
   */
  constructor(button, handlers) {
    this.handlers = handlers;
    this.button = button;
    this.bars = Array.from({ length: BARS }, () => h("i"));
    this.time = h("span", { class: "recorder-time" }, "0:00");
    this.hint = h("span", { class: "recorder-hint" });
    this.cancelButton = iconButton("close", t("record.cancel"), { onclick: () => this.cancel() });
    this.sendButton = iconButton("send", t("record.send"), {
      class: "composer-main",
      onclick: () => this.#finish(),
    });
    this.element = h(
      "div",
      { class: "recorder", hidden: true, role: "group", "aria-label": t("record") },
      this.cancelButton,
      this.time,
      h("div", { class: "recorder-bars", "aria-hidden": true }, this.bars),
      this.hint,
      this.sendButton,
    );
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.cancel());
    this.#bindHold();
    // A click that no pointer made: the keyboard or a screen reader.
    button.addEventListener("click", (event) => event.detail === 0 && this.#start(false));
  }

  cancel() {
    if (!this.#recorder) return;
    this.#recorder.cancel();
    this.#close();
    announce(t("record.cancelled"));
  }

  dispose() {
    this.#starting = null;
    this.#recorder?.cancel();
    this.#recorder = null;
  }

  #bindHold() {
    const { button } = this;
    let down = null;
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || button.disabled || this.#recorder) return;
      button.setPointerCapture(event.pointerId);
      down = { at: performance.now(), y: event.clientY };
      this.#start(true);
    });
    button.addEventListener("pointermove", (event) => {
      if (down) this.#away(down.y - event.clientY > AWAY);
    });
    button.addEventListener("pointerup", (event) => {
      if (!down) return;
      const long = performance.now() - down.at > HELD;
      const away = down.y - event.clientY > AWAY;
      down = null;
      this.#letGo(long, away);
    });
    button.addEventListener("pointercancel", () => {
      down = null;
      this.#letGo(true, true);
    });
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // long press
  }

  async #start(held) {
    if (this.#recorder || this.#starting) return;
    hush();
    this.#held = held;
    const mine = (this.#starting = Symbol("start"));
    try {
      const recorder = await Recorder.start({
        onlevel: (level, seconds) => this.#show(level, seconds),
        onfull: () => this.#finish(),
      });
      if (this.#starting !== mine) {
        recorder.cancel(); // left, or let go, while the browser was asking
        return;
      }
      this.#recorder = recorder;
      this.#open();
    } catch (error) {
      toast(error.message, "error");
    } finally {
      if (this.#starting === mine) this.#starting = null;
    }
  }

  #letGo(long, away) {
    if (this.#starting) {
      if (long) this.#starting = null;
      else this.#held = false; // a tap: it goes on until a button is pressed
      return;
    }
    if (!this.#recorder || !this.#held) return;
    if (away) this.cancel();
    else if (long) this.#finish();
    else {
      this.#held = false;
      this.#open();
    }
  }

  #open() {
    this.element.hidden = false;
    this.element.classList.toggle("held", this.#held);
    this.handlers.onrecording(true);
    this.#away(false);
    announce(t("record.on"));
    if (!this.#held) this.sendButton.focus();
  }

  #away(yes) {
    this.element.classList.toggle("away", yes);
    this.hint.textContent = this.#held
      ? t(yes ? "record.hint.away" : "record.hint.held")
      : t("record.hint.tap");
  }

  #show(level, seconds) {
    this.time.textContent = clock(seconds);
    this.handlers.onlevel(level);
    const [first] = this.bars;
    setVars(first, { "--height": level.toFixed(2) });
    this.bars.push(this.bars.shift());
    first.parentElement.append(first);
  }

  async #finish() {
    const recorder = this.#recorder;
    if (!recorder) return;
    if (recorder.seconds < SHORTEST) {
      this.cancel();
      toast(t("record.short"));
      return;
    }
    this.#recorder = null;
    const recording = await recorder.stop();
    this.#close();
    this.handlers.onvoice(recording);
  }

  #close() {
    this.#recorder = null;
    this.#held = false;
    this.element.hidden = true;
    this.time.textContent = clock(0);
    for (const bar of this.bars) setVars(bar, { "--height": null });
    this.handlers.onrecording(false);
    this.button.focus({ preventScroll: true });
  }
}
