// The log of a conversation: keeps its place while messages come at either end.

import { h, icon } from "../dom.js";
import { day, t } from "../i18n.js";
import { Bubble } from "./bubble.js";

const NEAR = 120; // px from the end that count as "at the end"

export class Log {
  #bubbles = new Map();
  #following = true;
  #observer;

  /** @param {{name: string, onolder: () => Promise<void>, onretry, onedit}} options */
  constructor({ name, onolder, ...handlers }) {
    this.name = name;
    this.handlers = handlers;
    this.list = h("ol", { class: "log-list", role: "list" });
    this.older = h(
      "button",
      {
        type: "button",
        class: "text-button log-older",
        hidden: true,
        onclick: () => this.#loadOlder(),
      },
      t("log.older"),
    );
    this.jump = h(
      "button",
      { type: "button", class: "log-jump", hidden: true, onclick: () => this.toEnd(true) },
      icon("down"),
      t("log.newest"),
    );
    this.scroller = h(
      "div",
      { class: "log", tabIndex: 0, role: "region", "aria-label": t("log.label", { name }) },
      this.older,
      this.list,
    );
    this.element = h("div", { class: "log-holder" }, this.scroller, this.jump);
    this.onolder = onolder;
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#observer = new ResizeObserver(() => this.#keepUp());
    this.#observer.observe(this.list);
    this.#observer.observe(this.scroller);
  }

  add(item) {
    const last = this.list.lastElementChild;
    if (!last || last.dataset.day !== day(item.createdAt)) this.list.append(this.#daySign(item));
    const bubble = this.#bubble(item);
    this.list.append(bubble.element);
    if (item.author === "user" || this.#following) this.toEnd();
  }

  /** Messages from before all others; the view stays where it was. */
  prepend(items) {
    const height = this.scroller.scrollHeight;
    const nodes = [];
    let shown = "";
    for (const item of items) {
      if (day(item.createdAt) !== shown) nodes.push(this.#daySign(item));
      shown = day(item.createdAt);
      nodes.push(this.#bubble(item).element);
    }
    const first = this.list.firstElementChild;
    if (first?.dataset.day === shown) first.remove(); // its sign stands further up now
    this.list.prepend(...nodes);
    this.scroller.scrollTop += this.scroller.scrollHeight - height;
  }

  update(item) {
    this.#bubbles.get(item.key)?.update();
  }

  remove(item) {
    const bubble = this.#bubbles.get(item.key);
    bubble?.dispose();
    bubble?.element.remove();
    this.#bubbles.delete(item.key);
  }

  /** The id of the oldest stored message. */
  get oldest() {
    return [...this.#bubbles.values()]
      .map(({ item }) => item.id)
      .filter(Boolean)
      .sort((a, b) => a - b)[0];
  }

  /** Offers older messages, or not. */
  offerOlder(there) {
    this.older.hidden = !there;
  }

  toEnd(smooth = false) {
    this.#following = true;
    this.jump.hidden = true;
    this.scroller.scrollTo({
      top: this.scroller.scrollHeight,
      behavior: smooth ? "smooth" : "instant",
    });
  }

  dispose() {
    this.#observer.disconnect();
    for (const bubble of this.#bubbles.values()) bubble.dispose();
  }

  #bubble(item) {
    const bubble = new Bubble(item, this.name, this.handlers);
    bubble.element.dataset.day = day(item.createdAt);
    this.#bubbles.set(item.key, bubble);
    return bubble;
  }

  #daySign(item) {
    const text = day(item.createdAt);
    return h("li", { class: "log-day", data: { day: text } }, h("span", {}, text));
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR;
    this.jump.hidden = this.#following;
    if (scrollTop < 40) this.#loadOlder();
  }

  #keepUp() {
    if (this.#following) this.toEnd();
  }

  async #loadOlder() {
    if (this.older.hidden || this.older.disabled) return;
    this.older.disabled = true;
    try {
      await this.onolder();
    } finally {
      this.older.disabled = false;
    }
  }
}
