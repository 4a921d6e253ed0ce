// The sheet in which an API key is made or changed, and the one that shows it, once.

import { call } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { fullDate, t } from "../i18n.js";
import { copyable } from "./copyable.js";
import { explain, sheet } from "./feedback.js";
import { field, firstError, setError } from "./field.js";

export const LIMITS = [
  "requests_per_minute",
  "monthly_characters",
  "monthly_seconds",
  "monthly_tokens",
];
const DAYS = [30, 90, 365];

/**
 * Opens the form.
 * @param {object | null} key what is changed; null makes a new one
 * @param {(key: object) => void} ondone gets the key as the server has it then
 */
export function openKeyForm(key, ondone) {
  const name = h("input", {
    type: "text",
    name: "name",
    maxLength: 60,
    autocomplete: "off",
    value: key?.name ?? "",
    placeholder: t("keys.name.example"),
  });
  const ends = h("select", { name: "expires_at" }, endings(key));
  const fields = {
    name: field(t("keys.name"), name),
    expires_at: field(t("keys.expires"), ends),
    ...Object.fromEntries(LIMITS.map((limit) => [limit, limitField(limit, key)])),
  };
  const failure = h("p", { class: "form-error", role: "alert", hidden: true });
  const submit = h(
    "button",
    { type: "submit", class: "button primary" },
    t(key ? "form.save" : "keys.create"),
  );
  const form = h(
    "form",
    { class: "key-form", noValidate: true, onsubmit: save },
    failure,
    fields.name.element,
    fields.expires_at.element,
    h(
      "details",
      { open: Boolean(key) && LIMITS.some((limit) => key[limit] !== null) },
      h("summary", {}, t("keys.limits")),
      h("p", { class: "field-hint" }, t("keys.limits.hint")),
      h(
        "div",
        { class: "key-limits" },
        LIMITS.map((limit) => fields[limit].element),
      ),
    ),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "button", onclick: () => dialog.close() }, t("cancel")),
      submit,
    ),
  );
  const dialog = sheet(t(key ? "keys.edit" : "keys.create"), form);
  name.focus();

  async function save(event) {
    event.preventDefault();
    failure.hidden = true;
    setError(fields.name, name.value.trim() ? "" : t("keys.name.missing"));
    for (const limit of LIMITS) {
      const { value, validity } = fields[limit].input;
      const whole = !validity.badInput && /^([1-9]\d*)?$/.test(value.trim());
      setError(fields[limit], whole ? "" : t("keys.limit.whole"));
    }
    const wrong = LIMITS.some((limit) => !fields[limit].error.hidden);
    if (wrong) form.querySelector("details").open = true;
    if (firstError(Object.values(fields))) return;
    submit.disabled = true;
    try {
      const body = values();
      const saved = key
        ? await call("PATCH", `/api/keys/${key.id}`, { body })
        : await call("POST", "/api/keys", { body });
      dialog.close();
      ondone(saved);
    } catch (error) {
      fill(failure, icon("alert"), explain(error));
      failure.hidden = false;
    } finally {
      submit.disabled = false;
    }
  }

  function values() {
    const body = { name: name.value.trim() };
    if (ends.value === "never") body.expires_at = null;
    else if (ends.value !== "kept") body.expires_at = inDays(Number(ends.value));
    for (const limit of LIMITS) {
      const value = fields[limit].input.value.trim();
      body[limit] = value ? Number(value) : null;
    }
    return body;
  }
}

function limitField(limit, key) {
  const input = h("input", {
    type: "number",
    name: limit,
    min: 1,
    step: 1,
    inputMode: "numeric",
    value: key?.[limit] ?? "",
    placeholder: t("keys.unlimited"),
  });
  return field(t(`keys.${limit}`), input);
}

function endings(key) {
  const kept = key?.expires_at ? [["kept", fullDate(key.expires_at)]] : [];
  const days = DAYS.map((count) => [String(count), t("keys.expires.days", { count })]);
  return [...kept, ["never", t("keys.expires.never")], ...days].map(([value, text]) =>
    h("option", { value }, text),
  );
}

function inDays(count) {
  return new Date(Date.now() + count * 86_400_000).toISOString();
}

/** Shows a new key: the only time that anybody sees it. */
export function showKey({ name, key }) {
  const dialog = sheet(t("keys.made"), [
    h("p", {}, t("keys.made.text", { name })),
    copyable(t("keys.one"), key),
    h(
      "div",
      { class: "actions" },
      h(
        "button",
        { type: "button", class: "button primary", onclick: () => dialog.close() },
        t("keys.kept"),
      ),
    ),
  ]);
  dialog.querySelector(".copy button").focus();
}
