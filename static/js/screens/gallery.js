// Who there is to talk with.

import { call } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { session } from "../session.js";
import { load, save } from "../store.js";
import { blank, explain, loading } from "../ui/feedback.js";
import { portrait } from "../ui/portrait.js";
import { continueStrip } from "./conversations.js";

const PAGE = 24;
const PATIENCE = 250; // ms after the last key before it searches
const TABS = { all: {}, preset: { preset: "true" }, mine: { mine: "true" } };

export async function galleryScreen(page) {
  let tab = load("gallery.tab", "all");
  let search = "";
  let number = 0;
  let asking = new AbortController();
  let timer = 0;

  const grid = h("ul", { class: "cards", role: "list" });
  const more = h(
    "button",
    { type: "button", class: "button", hidden: true, onclick: () => next() },
    t("gallery.more"),
  );
  const state = h("div", { class: "gallery-state", "aria-live": "polite" });
  const box = h("input", {
    type: "search",
    placeholder: t("gallery.search"),
    "aria-label": t("gallery.search"),
    enterKeyHint: "search",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => restart({ search: box.value.trim() }), PATIENCE);
    },
  });
  const buttons = Object.keys(TABS).map((name) =>
    h(
      "button",
      { type: "button", data: { tab: name }, onclick: () => restart({ tab: name }) },
      t(`gallery.${name}`),
    ),
  );
  const strip = h("div", {});

  fill(
    page,
    h(
      "div",
      { class: "gallery" },
      h(
        "header",
        { class: "gallery-head" },
        h("h1", {}, t("gallery.title")),
        h("p", {}, t("gallery.lead")),
      ),
      strip,
      h(
        "div",
        { class: "gallery-tools" },
        h("div", { class: "tabs", role: "group", "aria-label": t("gallery.filter") }, buttons),
        h("label", { class: "search" }, icon("search"), box),
      ),
      grid,
      state,
      h("div", { class: "gallery-more" }, more),
    ),
  );
  continueStrip(strip);
  restart({});
  return () => {
    asking.abort();
    clearTimeout(timer);
  };

  function restart(change) {
    tab = change.tab ?? tab;
    search = change.search ?? search;
    save("gallery.tab", tab);
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.tab === tab);
    number = 0;
    return next();
  }

  async function next() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const first = number === 0;
    if (first) fill(state, loading());
    more.disabled = true;
    try {
      const query = { ...TABS[tab], search, page: number + 1, page_size: PAGE };
      const found = await call("GET", "/api/role/list", { query, signal });
      number++;
      const cards = found.list.map(card);
      if (first) grid.replaceChildren(...cards);
      else {
        grid.append(...cards);
        cards[0]?.querySelector("a").focus();
      }
      fill(state, found.total === 0 && nobody());
      more.hidden = !found.has_more;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (first) grid.replaceChildren();
      fill(
        state,
        blank(
          t("error.title"),
          explain(error),
          h(
            "button",
            { type: "button", class: "button", onclick: () => next() },
            icon("retry"),
            t("retry"),
          ),
        ),
      );
    } finally {
      more.disabled = false;
    }
  }

  function nobody() {
    const create = h("a", { class: "button primary", href: "#/new" }, icon("plus"), t("nav.new"));
    if (search) return blank(t("gallery.none"), t("gallery.none.text", { search }), create);
    return blank(t(`gallery.empty.${tab}`), t(`gallery.empty.${tab}.text`), create);
  }
}

function card(role) {
  const mine = role.owner_id !== null && role.owner_id === session()?.user.id;
  const lang = role.language === "en" ? "en" : "zh-Hans";
  return h(
    "li",
    { class: "card", data: { role: role.id } },
    h(
      "a",
      { class: "card-link", href: `#/role/${role.id}` },
      portrait(role),
      h(
        "div",
        { class: "card-text", lang },
        h("h2", { class: "card-name" }, role.name),
        h("p", { class: "card-line" }, role.tagline || role.description),
        h("p", { class: "card-tags" }, tags(role, mine)),
      ),
    ),
    mine &&
      h(
        "a",
        {
          class: "icon-button card-edit",
          href: `#/edit/${role.id}`,
          "aria-label": t("form.edit.name", { name: role.name }),
          title: t("form.edit"),
        },
        icon("edit"),
      ),
  );
}

function tags(role, mine) {
  const words = (role.tags ?? []).slice(0, 3).map((word) => h("span", {}, word));
  return mine ? [h("span", { class: "tag-mine" }, t("gallery.mine")), words] : words;
}
