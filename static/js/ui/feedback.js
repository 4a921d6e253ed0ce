// Saying what happened, and asking before it does.

import { fill, h, icon, iconButton } from "../dom.js";
import { t } from "../i18n.js";

const SHOWN = 6000; // ms

/** An error in the user's words. */
export function explain(error) {
  if (error.code === 0) return t("error.network");
  if (error.code >= 500 || !error.message) return t("error.server");
  return error.message;
}

/** A note that goes by itself. */
export function toast(text, kind = "info") {
  let region = document.getElementById("toasts");
  if (!region) {
    region = h("div", { id: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  const note = h(
    "div",
    { class: `toast toast-${kind}` },
    icon(kind === "error" ? "alert" : "check"),
    h("span", {}, text),
    iconButton("close", t("close"), { onclick: () => note.remove() }),
  );
  region.append(note);
  setTimeout(() => note.remove(), SHOWN);
}

/** A failed call, as a note. */
export function toastError(error) {
  if (error.name === "AbortError") return;
  if (error.code === undefined && !(error instanceof DOMException)) console.error(error);
  toast(error.code === undefined ? error.message : explain(error), "error");
}

/**
 * A modal sheet; Escape and a click beside it close it.
 * @returns {HTMLDialogElement} shown already; `close()` ends it
 */
export function sheet(title, content, { class: extra = "" } = {}) {
  const heading = h("h2", { class: "sheet-title", id: `sheet-${Date.now()}` }, title);
  const dialog = h(
    "dialog",
    { class: `sheet ${extra}`, "aria-labelledby": heading.id },
    h(
      "header",
      { class: "sheet-head" },
      heading,
      iconButton("close", t("close"), { onclick: () => dialog.close() }),
    ),
    h("div", { class: "sheet-body" }, content),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks. @returns {Promise<boolean>} false also where it was closed */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = h("button", { type: "button", class: "button danger" }, action);
    const no = h("button", { type: "button", class: "button" }, t("cancel"));
    const dialog = sheet(title, [h("p", {}, text), h("div", { class: "actions" }, no, yes)], {
      class: "sheet-small",
    });
    yes.addEventListener("click", () => {
      answer = true;
      dialog.close();
    });
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => resolve(answer));
    no.focus();
  });
}

/** Shows that something is on its way. */
export function loading(text = t("loading")) {
  return h(
    "p",
    { class: "loading", role: "status" },
    h("span", { class: "petals", "aria-hidden": true }, h("i"), h("i"), h("i")),
    text,
  );
}

/** A place that holds nothing, or an error with a way to try again. */
export function blank(title, text, ...actions) {
  return h(
    "div",
    { class: "blank" },
    h("div", { class: "blank-mark", "aria-hidden": true }),
    h("h2", {}, title),
    h("p", {}, text),
    actions,
  );
}

/** Fills `element` with what went wrong and a button. */
export function failed(element, error, again) {
  return fill(
    element,
    blank(
      t("error.title"),
      explain(error),
      h("button", { type: "button", class: "button", onclick: again }, icon("retry"), t("retry")),
    ),
  );
}
