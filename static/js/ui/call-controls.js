// The row of round buttons under a call, each with a word below.

import { h, icon, setIcon } from "../dom.js";
import { t } from "../i18n.js";

/**
 * A round button with a word under it.
 * @param {string} name of the icon
 * @param {string} key of the texts: `key` is the full name, `key.short` the word
 */
function control(name, key, props = {}) {
  const { class: extra = "", ...rest } = props;
  return h(
    "button",
    {
      type: "button",
      class: `call-control ${extra}`,
      "aria-label": t(key),
      title: t(key),
      ...rest,
    },
    h("span", { class: "call-disc" }, icon(name)),
    h("span", { class: "call-word", "aria-hidden": true }, t(`${key}.short`)),
  );
}

export class CallControls {
  /**
   * @param {{onmute: () => void, onbyhand: () => void, onend: () => void, ondevices: () => void,
   *   oninterrupt: () => void}} handlers
   */
  constructor({ onmute, onbyhand, onend, ondevices, oninterrupt }) {
    this.devices = control("sliders", "device.title", { onclick: ondevices });
    this.byHand = control("hand", "call.byhand", { "aria-pressed": false, onclick: onbyhand });
    this.end = control("hang-up", "call.end", { class: "hang-up", onclick: onend });
    this.mute = control("mic", "call.mute", { "aria-pressed": false, onclick: onmute });
    this.interrupt = control("stop", "call.interrupt", {
      class: "call-interrupt",
      "aria-disabled": true, // and not in earnest: the focus would be lost
      onclick: oninterrupt,
    });
    this.element = h(
      "div",
      { class: "call-controls", role: "group", "aria-label": t("call.controls") },
      [this.devices, this.byHand, this.end, this.mute, this.interrupt],
    );
  }

  /** @param {{muted: boolean, byHand: boolean, interruptible: boolean}} state */
  show({ muted, byHand, interruptible }) {
    this.byHand.setAttribute("aria-pressed", byHand);
    this.mute.setAttribute("aria-pressed", muted);
    setIcon(this.mute, muted ? "mic-off" : "mic");
    this.interrupt.setAttribute("aria-disabled", !interruptible);
  }
}
