// A user's API keys: for what they are, what is left of the month, and the keys themselves.

import { call } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { ago, fullDate, number, t } from "../i18n.js";
import { copyable } from "../ui/copyable.js";
import { blank, confirmed, toast, toastError } from "../ui/feedback.js";
import { LIMITS, openKeyForm, showKey } from "../ui/key-form.js";

const BUDGETS = ["characters", "seconds", "tokens"];

export async function keysScreen(page) {
  document.title = `${t("keys.title")} · ${t("title")}`;
  const [keys, { month }] = await Promise.all([
    call("GET", "/api/keys"),
    call("GET", "/api/usage"),
  ]);
  const holder = h("div", {});
  const create = h(
    "button",
    { type: "button", class: "button primary", onclick: () => openKeyForm(null, made) },
    icon("plus"),
    t("keys.create"),
  );
  show();
  fill(
    page,
    h(
      "div",
      { class: "column keys" },
      h("header", {}, h("h1", {}, t("keys.title")), h("p", {}, t("keys.lead"))),
      usage(),
      spending(month),
      h("section", { class: "keys-list" }, h("h2", {}, t("keys.yours")), create),
      holder,
    ),
  );

  function show() {
    if (!keys.length) return void fill(holder, blank(t("keys.none"), t("keys.none.text")));
    fill(holder, h("ul", { class: "rows", role: "list" }, keys.map(row)));
    return undefined;
  }

  function made(key) {
    keys.unshift(key);
    show();
    showKey(key);
  }

  function row(key) {
    const expired = key.expires_at && new Date(key.expires_at) <= new Date();
    return h(
      "li",
      { class: "row key" },
      h(
        "div",
        { class: "row-text" },
        h(
          "p",
          { class: "row-head" },
          h("strong", {}, key.name),
          h("code", {}, `${key.prefix}…`),
          expired && h("span", { class: "tag" }, t("keys.expired")),
        ),
        h("p", { class: "key-facts" }, facts(key, expired).join(" · ")),
        limits(key),
      ),
      iconButton("edit", t("keys.edit.name", { name: key.name }), {
        onclick: () =>
          openKeyForm(key, (changed) => {
            Object.assign(key, changed);
            show();
            toast(t("form.saved"));
          }),
      }),
      iconButton("trash", t("keys.revoke.name", { name: key.name }), {
        onclick: () => revoke(key),
      }),
    );
  }

  async function revoke(key) {
    const text = t("keys.revoke.text", { name: key.name });
    if (!(await confirmed(t("keys.revoke"), text, t("keys.revoke.yes")))) return;
    try {
      await call("DELETE", `/api/keys/${key.id}`);
      keys.splice(keys.indexOf(key), 1);
      show();
      toast(t("keys.revoked"));
    } catch (error) {
      toastError(error);
    }
  }
}

function usage() {
  return h(
    "section",
    { class: "key-use" },
    h("h2", {}, t("keys.use")),
    copyable(t("keys.base"), `${location.origin}/v1`),
    h("p", { class: "field-hint" }, t("keys.use.text")),
  );
}

/** What was used this month, with a bar where there is a limit. */
function spending(month) {
  return h(
    "section",
    { class: "key-month" },
    h("h2", {}, t("keys.month")),
    h(
      "dl",
      { class: "budgets" },
      BUDGETS.map((budget) => {
        const { spent, limit } = month[budget];
        return h(
          "div",
          {},
          h("dt", {}, t(`keys.${budget}`)),
          h("dd", {}, limit ? outOf(spent, limit) : number(spent)),
          limit &&
            h(
              "dd",
              {},
              h("meter", {
                "aria-label": t(`keys.${budget}`),
                max: limit,
                high: limit * 0.9,
                value: Math.min(spent, limit),
              }),
            ),
        );
      }),
    ),
  );
}

function facts(key, expired) {
  const used = key.last_used_at
    ? t("keys.used", { when: ago(key.last_used_at) })
    : t("keys.used.never");
  const ends = key.expires_at && t("keys.until", { when: fullDate(key.expires_at) });
  return [t("keys.since", { when: fullDate(key.created_at) }), used, !expired && ends].filter(
    Boolean,
  );
}

function limits(key) {
  const given = LIMITS.filter((limit) => key[limit] !== null).map((limit) => {
    const spent = key.spent[limit.replace("monthly_", "")]; // of requests nothing is told
    const most = key[limit];
    return `${t(`keys.${limit}`)} ${spent === undefined ? number(most) : outOf(spent, most)}`;
  });
  return given.length > 0 && h("p", { class: "key-facts" }, given.join(" · "));
}

/** "12 / 5,000", on one line. */
function outOf(spent, limit) {
  return `${number(spent)}\u00a0/\u00a0${number(limit)}`;
}
