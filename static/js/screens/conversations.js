// Conversations to come back to: all of them, one character's, the newest few.

import { call } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { ago, t } from "../i18n.js";
import { go, here } from "../router.js";
import { blank, confirmed, failed, loading, sheet, toastError } from "../ui/feedback.js";
import { portrait } from "../ui/portrait.js";

const PAGE = 20;

export async function conversationsScreen(page) {
  document.title = `${t("nav.conversations")} · ${t("title")}`;
  const holder = h("div", {});
  fill(page, h("div", { class: "column" }, h("h1", {}, t("nav.conversations")), holder));
  await listInto(holder, {});
}

/** A sheet with the conversations of one character. */
export function showHistory(role) {
  const holder = h("div", {}, loading());
  const dialog = sheet(t("history.title", { name: role.name }), [
    h(
      "button",
      {
        type: "button",
        class: "button primary wide",
        onclick: () => {
          dialog.close();
          begin(role.id);
        },
      },
      icon("plus"),
      t("conversation.new"),
    ),
    holder,
  ]);
  listInto(holder, { role_id: role.id }, () => dialog.close()).catch((error) =>
    failed(holder, error, () => dialog.close()),
  );
}

/** Begins a new conversation with a character and goes there. */
export async function begin(roleId, { replace = false } = {}) {
  try {
    const { id } = await call("POST", "/api/conversations", { body: { role_id: roleId } });
    go(`/c/${id}`, { replace });
  } catch (error) {
    if (replace) throw error;
    toastError(error);
  }
}

async function listInto(holder, query, onleave = () => {}) {
  let number = 0;
  const rows = h("ul", { class: "rows", role: "list" });
  const more = h(
    "button",
    { type: "button", class: "button", hidden: true, onclick: () => next().catch(toastError) },
    t("gallery.more"),
  );
  await next();
  fill(holder, rows, h("div", { class: "gallery-more" }, more));
  if (!rows.children.length) fill(holder, nothing());

  async function next() {
    const found = await call("GET", "/api/conversations", {
      query: { ...query, page: number + 1, page_size: PAGE },
    });
    number++;
    rows.append(
      ...found.list.map((item) =>
        row(item, onleave, (element) => {
          element.remove();
          if (!rows.children.length) fill(holder, nothing());
        }),
      ),
    );
    more.hidden = !found.has_more;
  }
}

function nothing() {
  return blank(
    t("conversations.none"),
    t("conversations.none.text"),
    h("a", { class: "button primary", href: "#/" }, t("nav.gallery")),
  );
}

function row(item, onleave, onremoved) {
  const { role } = item;
  const remove = iconButton("trash", t("conversation.delete.name", { name: role.name }), {
    onclick: async () => {
      if (
        !(await confirmed(
          t("conversation.delete"),
          t("conversation.delete.text", { name: role.name }),
          t("delete"),
        ))
      )
        return;
      try {
        await call("DELETE", `/api/conversations/${item.id}`);
        onremoved(element);
        if (here() === `/c/${item.id}`) {
          onleave();
          go("/");
        }
      } catch (error) {
        toastError(error);
      }
    },
  });
  const element = h(
    "li",
    { class: "row" },
    h(
      "a",
      { class: "row-link", href: `#/c/${item.id}`, onclick: onleave },
      portrait(role, { shape: "round" }),
      h(
        "div",
        { class: "row-text" },
        h(
          "p",
          { class: "row-head" },
          h("strong", {}, role.name),
          role.deleted && h("span", { class: "tag" }, t("role.deleted")),
          h("time", { dateTime: item.active_at }, ago(item.active_at)),
        ),
        h("p", { class: "row-last" }, preview(item.last_message)),
      ),
    ),
    remove,
  );
  return element;
}

function preview(message) {
  if (!message) return t("conversation.empty");
  const text = message.text.replace(/\s+/g, " ") || t("voice.message");
  return message.author === "user" ? t("preview.user", { text }) : text;
}

/** The newest conversations in a row, to go on with; fills nothing where there are none. */
export async function continueStrip(holder) {
  let found;
  try {
    found = await call("GET", "/api/conversations", { query: { page: 1, page_size: 8 } });
  } catch {
    return; // the gallery works without; its own list says what is wrong
  }
  const latest = found.list.filter(
    ({ role }, i, all) => all.findIndex((other) => other.role.id === role.id) === i,
  );
  if (!latest.length) return;
  fill(
    holder,
    h(
      "section",
      { class: "continue", "aria-labelledby": "continue-title" },
      h("h2", { id: "continue-title" }, t("continue")),
      h(
        "ul",
        { class: "continue-list", role: "list" },
        latest.map((item) =>
          h(
            "li",
            {},
            h(
              "a",
              { href: `#/c/${item.id}` },
              portrait(item.role, { shape: "round" }),
              h(
                "span",
                { class: "continue-text" },
                h("strong", {}, item.role.name),
                h("span", {}, preview(item.last_message)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
