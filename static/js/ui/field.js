// A labelled field with a hint and its error below it.

import { h } from "../dom.js";

let count = 0;

/**
 * @param {string} label
 * @param {HTMLElement} control an input, or what holds one (then name `input`)
 * @param {object} options `hint`, `input`, `required` (marks the others as optional text)
 * @returns {{element: HTMLElement, input: HTMLElement, error: HTMLElement}}
 */
export function field(label, control, { hint = "", input = control, optional = "" } = {}) {
  const id = `field-${++count}`;
  input.id = id;
  const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
  const note = hint && h("p", { class: "field-hint", id: `${id}-hint` }, hint);
  input.setAttribute("aria-describedby", hint ? `${id}-hint ${id}-error` : `${id}-error`);
  const element = h(
    "div",
    { class: "field" },
    h("label", { for: id }, label, optional && h("span", { class: "field-optional" }, optional)),
    control,
    error,
    note,
  );
  return { element, input, error };
}

/** Shows an error under a field, or takes it away. */
export function setError(entry, text) {
  entry.error.textContent = text;
  entry.error.hidden = !text;
  entry.input.setAttribute("aria-invalid", Boolean(text));
}

/** Goes to the first field with an error; returns whether there is one. */
export function firstError(entries) {
  const wrong = entries.find(({ error }) => !error.hidden);
  wrong?.input.focus();
  return Boolean(wrong);
}
