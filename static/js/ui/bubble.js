// One message in the log. The character's lines stand like a script, the user's in a bubble.

import { fill, h, icon } from "../dom.js";
import { clockTime, t } from "../i18n.js";
import { Player } from "./player.js";
import { setProse } from "./prose.js";

export class Bubble {
  #player = null;
  #playing = null;

  /**
   * @param {import("../chat/item.js").Item} item
   * @param {string} name of the character
   * @param {{onretry: (item) => void, onedit: (item) => void}} handlers
   */
  constructor(item, name, handlers) {
    this.item = item;
    this.handlers = handlers;
    this.mine = item.author === "user";
    this.speaker = this.mine ? t("you") : name;
    this.body = h("div", { class: "message-body" });
    this.prose = h("div", { class: "prose" });
    this.foot = h("p", { class: "message-foot" });
    this.element = h(
      "li",
      { class: `message ${this.mine ? "from-user" : "from-character"}` },
      h(
        "p",
        { class: "message-head" },
        h("span", { class: "message-who" }, this.speaker),
        h("time", { dateTime: item.createdAt }, clockTime(item.createdAt)),
      ),
      this.body,
      this.foot,
    );
    this.update();
  }

  /** Shows the item as it is now. */
  update() {
    const { item } = this;
    this.element.dataset.status = item.status;
    this.element.dataset.type = item.type;
    const thinking = item.status === "thinking" && !item.text;
    if (item.text) setProse(this.prose, item.text);
    else fill(this.prose, thinking && drops());
    this.prose.classList.toggle("transcript", this.mine && item.type === "voice");
    this.prose.hidden = !item.text && !thinking;
    this.#sound();
    fill(this.body, this.#player?.element, this.prose);
    fill(this.foot, this.#state());
    this.foot.hidden = !this.foot.hasChildNodes();
  }

  dispose() {
    this.#player?.dispose();
  }

  #sound() {
    const { item } = this;
    if (item.type !== "voice") {
      this.#player?.dispose();
      this.#player = null;
      return;
    }
    const source = item.audio ?? (item.blob && !item.url ? item.blob : null) ?? item.url;
    if (!source) return;
    const label = t("player.of", { name: this.speaker });
    if (!this.#player) {
      const local = source instanceof Blob ? URL.createObjectURL(source) : "";
      const given =
        source instanceof HTMLAudioElement ? { audio: source } : { url: local || source };
      this.#player = new Player({ ...given, seconds: item.seconds, label });
      this.#playing = source;
      if (local) return;
    }
    // What streamed is kept on the server under a name of its own: take that for the next time.
    if (item.url && this.#playing !== item.url && !item.blob) {
      this.#playing = item.url;
      this.#player.setUrl(item.url);
    }
  }

  #state() {
    const { item } = this;
    if (item.status === "uploading") return [icon("clock"), t("message.uploading")];
    if (item.status === "sending") return [icon("clock"), t("message.sending")];
    if (item.status === "cancelled") return [icon("stop"), t("message.cancelled")];
    if (item.status === "failed") {
      return [
        h("span", { class: "message-error" }, icon("alert"), item.error || t("message.failed")),
        h(
          "button",
          { type: "button", class: "text-button", onclick: () => this.handlers.onretry(item) },
          icon("retry"),
          t("retry"),
        ),
      ];
    }
    if (this.mine && item.type === "voice" && item.text) {
      return h(
        "button",
        {
          type: "button",
          class: "text-button",
          title: t("message.edit.hint"),
          onclick: () => this.handlers.onedit(item),
        },
        icon("edit"),
        t("message.edit"),
      );
    }
    return null;
  }
}

function drops() {
  return h(
    "span",
    { class: "petals", role: "img", "aria-label": t("state.thinking") },
    h("i"),
    h("i"),
    h("i"),
  );
}
