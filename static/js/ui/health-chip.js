// "离线替身" and "语音不全": shown where something is missing, with the reason behind a click.

import { fill, h, icon } from "../dom.js";
import { available, onHealth, understudy, whyNot } from "../health.js";
import { t } from "../i18n.js";
import { sheet } from "./feedback.js";

/** The label; hidden while nothing is missing. */
export function healthChip() {
  const chip = h("button", {
    type: "button",
    class: "chip health",
    hidden: true,
    onclick: explainHealth,
  });
  const show = () => {
    const voiceless = !available("asr") || !available("tts");
    chip.hidden = !understudy() && !voiceless;
    fill(
      chip,
      icon("info"),
      h("span", {}, understudy() ? t("health.understudy") : t("health.voiceless")),
    );
  };
  const stop = onHealth(() => (chip.isConnected ? show() : stop()));
  show();
  return chip;
}

function explainHealth() {
  const notes = [];
  if (understudy()) notes.push([t("health.understudy"), t("health.understudy.text")]);
  if (!available("asr")) notes.push([t("health.deaf"), whyNot("asr") || t("health.reason.none")]);
  if (!available("tts")) notes.push([t("health.mute"), whyNot("tts") || t("health.reason.none")]);
  sheet(
    t("health.title"),
    h(
      "dl",
      { class: "notes" },
      notes.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
    ),
  );
}
