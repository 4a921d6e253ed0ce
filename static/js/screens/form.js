// Creating a character, or changing one.

import { call } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { go } from "../router.js";
import { session } from "../session.js";
import { blank, confirmed, explain, toast, toastError } from "../ui/feedback.js";
import { field, firstError, setError } from "../ui/field.js";
import { portrait } from "../ui/portrait.js";
import { VoicePicker } from "../ui/voice-picker.js";
import { begin } from "./conversations.js";

const GENDERS = ["男", "女", "其他", "未知"];
const LONG = ["personality", "scenario", "greeting", "example_dialogue"];
const LIMITS = {
  name: 100,
  tagline: 200,
  description: 20_000,
  greeting: 2000,
  personality: 8000,
  scenario: 8000,
  example_dialogue: 8000,
};

export async function formScreen(page, idText) {
  const editing = idText !== undefined;
  const [role, voices] = await Promise.all([
    editing ? call("GET", `/api/role/${idText}`) : { name: "", gender: "女", language: "zh" },
    call("GET", "/api/voiceTypes"),
  ]);
  document.title = `${t(editing ? "form.edit" : "nav.new")} · ${t("title")}`;
  if (editing && role.owner_id !== session()?.user.id) {
    fill(
      page,
      blank(
        t("form.foreign"),
        t("form.foreign.text"),
        h("a", { class: "button", href: "#/" }, t("nav.gallery")),
      ),
    );
    return undefined;
  }

  const input = (name, props = {}) =>
    h("input", {
      type: "text",
      name,
      maxLength: LIMITS[name],
      value: role[name] ?? "",
      autocomplete: "off",
      ...props,
    });
  const area = (name, rows) =>
    h("textarea", {
      name,
      rows,
      maxLength: LIMITS[name],
      value: role[name] ?? "",
      placeholder: t(`form.${name}.example`),
    });
  const select = (name, options) => {
    const element = h(
      "select",
      { name },
      options.map(([value, text]) => h("option", { value }, text)),
    );
    element.value = role[name] ?? options[0][0];
    return element;
  };
  const picker = new VoicePicker(voices, role);
  const optional = t("form.optional");
  const fields = {
    name: field(t("form.name"), input("name", { placeholder: t("form.name.example") })),
    tagline: field(
      t("form.tagline"),
      input("tagline", { placeholder: t("form.tagline.example") }),
      { optional },
    ),
    description: field(t("form.description"), area("description", 5), {
      hint: t("form.description.hint"),
    }),
    gender: field(
      t("form.gender"),
      select(
        "gender",
        GENDERS.map((value) => [value, t(`gender.${value}`)]),
      ),
    ),
    age: field(
      t("form.age"),
      input("age", {
        type: "number",
        min: 0,
        max: 120,
        step: 1,
        inputMode: "numeric",
        value: role.age ?? "",
      }),
    ),
    language: field(
      t("form.language"),
      select("language", [
        ["zh", "中文"],
        ["en", "English"],
      ]),
    ),
    ...Object.fromEntries(
      LONG.map((name) => [
        name,
        field(t(`form.${name}`), area(name, name === "example_dialogue" ? 6 : 3), {
          optional,
          hint: t(`form.${name}.hint`),
        }),
      ]),
    ),
    voice_type: picker,
  };
  const failure = h("p", { class: "form-error", role: "alert", hidden: true });
  const submit = h(
    "button",
    { type: "submit", class: "button primary" },
    t(editing ? "form.save" : "form.create"),
  );
  const preview = h("div", { class: "form-preview", "aria-hidden": true });
  const showPreview = () =>
    fill(
      preview,
      portrait({ ...role, id: role.id ?? 0, name: fields.name.input.value.trim() || "梨" }),
      h("p", {}, fields.name.input.value.trim() || t("form.name")),
      h("small", {}, fields.tagline.input.value),
    );
  const form = h(
    "form",
    {
      class: "role-form",
      noValidate: true,
      onsubmit: save,
      oninput: (event) => {
        showPreview();
        const entry = fields[event.target.name];
        if (entry && !entry.error.hidden) setError(entry, check(event.target.name));
      },
    },
    failure,
    h(
      "fieldset",
      {},
      h("legend", {}, t("form.part.who")),
      fields.name.element,
      fields.tagline.element,
      fields.description.element,
      h(
        "div",
        { class: "field-row" },
        fields.gender.element,
        fields.age.element,
        fields.language.element,
      ),
    ),
    h("fieldset", {}, h("legend", {}, t("form.part.voice")), picker.element),
    h(
      "fieldset",
      {},
      h("legend", {}, t("form.part.play")),
      LONG.map((name) => fields[name].element),
    ),
    h(
      "div",
      { class: "form-foot" },
      editing &&
        h(
          "button",
          { type: "button", class: "button danger-quiet", onclick: remove },
          icon("trash"),
          t("form.delete"),
        ),
      h("a", { class: "button", href: editing ? `#/role/${idText}` : "#/" }, t("cancel")),
      submit,
    ),
  );
  fill(
    page,
    h(
      "div",
      { class: "form-page" },
      h(
        "header",
        {},
        h("h1", {}, editing ? t("form.edit.name", { name: role.name }) : t("form.title")),
        !editing && h("p", {}, t("form.lead")),
      ),
      preview,
      form,
    ),
  );
  showPreview();
  if (!editing) fields.name.input.focus({ preventScroll: true });
  return () => picker.dispose();

  function value(name) {
    return fields[name].input.value.trim();
  }

  function check(name) {
    const length = name === "voice_type" ? 0 : Array.from(value(name)).length;
    if (name === "name" && length < 2) return t("form.name.short");
    if (name === "description" && length < 10) return t("form.description.short");
    if (name === "age" && !/^\d+$/.test(value("age"))) return t("form.age.missing");
    if (name === "age" && Number(value("age")) > 120) return t("form.age.range");
    if (name === "voice_type" && !picker.value) return t("form.voice.missing");
    return "";
  }

  async function save(event) {
    event.preventDefault();
    failure.hidden = true;
    for (const [name, entry] of Object.entries(fields)) setError(entry, check(name));
    if (firstError(Object.values(fields))) return;
    const body = Object.fromEntries(
      Object.keys(fields).map((name) => [
        name,
        name === "voice_type" ? picker.value : name === "age" ? Number(value("age")) : value(name),
      ]),
    );
    submit.disabled = true;
    try {
      if (editing) {
        await call("PUT", `/api/role/${idText}`, { body });
        toast(t("form.saved"));
        go(`/role/${idText}`);
      } else {
        const { role_id: made } = await call("POST", "/api/role/add", { body });
        await begin(made);
      }
    } catch (error) {
      showServerErrors(error);
    } finally {
      submit.disabled = false;
    }
  }

  /** "参数错误: 名称…; age: …": each to its field, the rest to the head of the form. */
  function showServerErrors(error) {
    const rest = [];
    for (const reason of explain(error)
      .replace(/^[^:：]+[:：]\s*/, (head) => (error.code === 400 ? "" : head))
      .split(/;\s*/)) {
      const found = Object.keys(fields).find(
        (name) => reason.startsWith(`${name}:`) || reason.startsWith(t(`form.${name}`)),
      );
      if (found) setError(fields[found], reason.replace(`${found}:`, "").trim());
      else rest.push(reason);
    }
    fill(failure, icon("alert"), rest.join("；"));
    failure.hidden = rest.length === 0;
    if (rest.length) failure.scrollIntoView({ block: "center" });
    else firstError(Object.values(fields));
  }

  async function remove() {
    if (
      !(await confirmed(t("form.delete"), t("form.delete.text", { name: role.name }), t("delete")))
    )
      return;
    try {
      await call("DELETE", `/api/role/${idText}`);
      toast(t("form.deleted"));
      go("/");
    } catch (error) {
      toastError(error);
    }
  }
}
