// Register and log in.

import { call } from "../api.js";
import { fill, h, icon, iconButton, relabel, setIcon } from "../dom.js";
import { t } from "../i18n.js";
import { setSession } from "../session.js";
import { explain } from "../ui/feedback.js";
import { field, setError, firstError } from "../ui/field.js";

const PLAYERS = ["shenwantang", "zhugeliang", "sunwukong", "wren", "liqingzhao"];

export function entryScreen(page, which) {
  const registering = which === "register";
  document.title = `${t(registering ? "register" : "login")} · ${t("title")}`;
  const username = h("input", {
    type: "text",
    name: "username",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: false,
    maxLength: 150,
    required: true,
  });
  const password = h("input", {
    type: "password",
    name: "password",
    autocomplete: registering ? "new-password" : "current-password",
    maxLength: 128,
    required: true,
  });
  const reveal = iconButton("eye", t("password.show"), {
    "aria-pressed": false,
    onclick: () => {
      const shown = password.type === "password";
      password.type = shown ? "text" : "password";
      setIcon(reveal, shown ? "eye-off" : "eye");
      relabel(reveal, t(shown ? "password.hide" : "password.show"));
      reveal.setAttribute("aria-pressed", shown);
    },
  });
  const fields = {
    username: field(t("username"), username, { hint: registering ? t("username.hint") : "" }),
    password: field(t("password"), h("div", { class: "with-button" }, password, reveal), {
      input: password,
      hint: registering ? t("password.hint") : "",
    }),
  };
  const failure = h("p", { class: "form-error", role: "alert", hidden: true });
  const submit = h(
    "button",
    { type: "submit", class: "button primary wide" },
    t(registering ? "register" : "login"),
  );

  const form = h("form", { class: "entry-form", noValidate: true, onsubmit: send }, [
    h("h1", {}, t(registering ? "register.title" : "login.title")),
    h("p", { class: "entry-lead" }, t(registering ? "register.lead" : "login.lead")),
    failure,
    Object.values(fields).map(({ element }) => element),
    submit,
    h(
      "p",
      { class: "entry-other" },
      `${t(registering ? "register.other" : "login.other")} `,
      h(
        "a",
        { href: registering ? "#/login" : "#/register" },
        t(registering ? "login" : "register"),
      ),
    ),
  ]);
  fill(page, h("div", { class: "entry" }, poster(), form));
  username.focus();

  async function send(event) {
    event.preventDefault();
    failure.hidden = true;
    setError(fields.username, username.value.trim() ? "" : t("username.missing"));
    setError(
      fields.password,
      !password.value
        ? t("password.missing")
        : registering && password.value.length < 8
          ? t("password.short")
          : "",
    );
    if (firstError(Object.values(fields))) return;
    submit.disabled = true;
    try {
      const body = { username: username.value.trim(), password: password.value };
      setSession(await call("POST", `/api/auth/${which}`, { body, anonymous: true }));
    } catch (error) {
      fill(failure, icon("alert"), explain(error));
      failure.hidden = false;
      password.select();
    } finally {
      submit.disabled = false;
    }
  }
}

function poster() {
  const path = (slug) => new URL(`../../portraits/${slug}.svg`, import.meta.url).pathname;
  return h(
    "div",
    { class: "poster", "aria-hidden": true },
    h("div", { class: "poster-branch" }),
    h("p", { class: "poster-title", lang: "zh-Hans" }, "梨园"),
    h(
      "div",
      { class: "poster-players" },
      PLAYERS.map((slug) => h("img", { src: path(slug), alt: "", width: 160, height: 200 })),
    ),
    h("p", { class: "poster-line" }, t("poster")),
  );
}
