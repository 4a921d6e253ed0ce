// Talking: the stage beside the log.

import { call } from "../api.js";
import { justEnded } from "../call/call.js";
import { lineState, openLine } from "../chat/line.js";
import { Talk } from "../chat/talk.js";
import { announce, fill, h, icon, iconButton } from "../dom.js";
import { available, onHealth, voiceProblem } from "../health.js";
import { t } from "../i18n.js";
import { session } from "../session.js";
import { Composer } from "../ui/composer.js";
import { sheet, toast, toastError } from "../ui/feedback.js";
import { Log } from "../ui/log.js";
import { portrait } from "../ui/portrait.js";
import { setProse } from "../ui/prose.js";
import { Stage } from "../ui/stage.js";
import { showHistory } from "./conversations.js";

const PATIENCE = 1200; // ms a lost line may take before it is spoken of
const STORING = 1500; // ms after which the last words of a call are stored

export async function chatScreen(page, idText) {
  const id = Number(idText);
  const conversation = await call("GET", `/api/conversations/${id}`);
  const deleted = conversation.role.deleted;
  const role = deleted ? conversation.role : await call("GET", `/api/role/${conversation.role.id}`);
  document.title = `${role.name} · ${t("title")}`;

  const stage = new Stage(role, actions(role, id, deleted));
  const banner = h("div", { class: "banner", role: "status", hidden: true });
  const log = new Log({
    name: role.name,
    onolder: () =>
      talk
        .older(log.oldest)
        .then(() => log.offerOlder(talk.hasMore))
        .catch(toastError),
    onretry: (item) => talk.retry(item),
    onedit: (item) => composer.compose(item.text),
  });
  let timer = 0; // until a lost line is spoken of
  let catching = 0; // until what a call left behind is looked for once more
  let recording = false;
  let talkState = "idle";
  const talk = new Talk(id, role, {
    add: (item) => log.add(item),
    prepend: (items) => log.prepend(items),
    update: (item) => log.update(item),
    remove: (item) => log.remove(item),
    state: (state) => {
      talkState = state;
      if (!recording && stage.state !== state) stage.setState(state);
      composer.setBusy(talk.busy);
    },
    mood: (text) => stage.setMood(text),
    said: (text) => announce(`${role.name}：${text}`),
    blocked: () => toast(t("player.blocked")),
    line: showLine,
    error: (text) => toast(text, "error"),
  });
  const composer = new Composer({
    name: role.name,
    draft: `draft.${id}`,
    onsend: (text, responseType) => talk.say(text, responseType),
    onvoice: (voice, responseType) => talk.sayVoice(voice, responseType),
    onstop: () => talk.stop(),
    onrecording: (level) => {
      const now = level !== null;
      if (now !== recording) stage.setState(now ? "listening" : talkState);
      recording = now;
      stage.setLevel(level ?? 0);
    },
  });

  const unhealth = onHealth(showVoice);
  fill(
    page,
    h(
      "div",
      { class: "chat" },
      bar(role, id, deleted),
      stage.element,
      h(
        "section",
        { class: "chat-main" },
        banner,
        log.element,
        deleted ? h("p", { class: "composer gone" }, t("role.deleted.text")) : composer.element,
      ),
    ),
  );
  showVoice();
  composer.fit();
  try {
    await talk.load();
  } catch (error) {
    dispose();
    throw error;
  }
  log.offerOlder(talk.hasMore);
  log.toEnd();
  openLine();
  if (justEnded(id)) catching = setTimeout(() => talk.catchUp().catch(toastError), STORING);
  document.addEventListener("visibilitychange", awake);
  if (matchMedia("(pointer: fine)").matches) composer.focus();

  return dispose;

  function dispose() {
    clearTimeout(timer);
    clearTimeout(catching);
    document.removeEventListener("visibilitychange", awake);
    unhealth();
    talk.dispose();
    composer.dispose();
    log.dispose();
  }

  function awake() {
    if (!document.hidden) openLine();
  }

  function showLine() {
    const state = lineState();
    page.classList.toggle("line-down", state === "waiting");
    if (state === "waiting" || state === "opening") {
      if (!banner.hidden || !navigator.onLine) speakOfLine();
      else timer ||= setTimeout(speakOfLine, PATIENCE);
      return;
    }
    clearTimeout(timer);
    timer = 0;
    banner.hidden = true;
  }

  function speakOfLine() {
    banner.hidden = false;
    fill(
      banner,
      icon("alert"),
      h("span", {}, t(navigator.onLine ? "line.reconnecting" : "line.offline")),
      navigator.onLine &&
        h(
          "button",
          { type: "button", class: "text-button", onclick: () => openLine() },
          t("line.now"),
        ),
    );
  }

  function showVoice() {
    const hears = available("asr");
    const speaks = available("tts");
    composer.setVoice({ hears, speaks, reason: voiceProblem() });
    for (const link of page.querySelectorAll("[data-call]")) link.hidden = !hears || !speaks;
  }
}

/** On a phone: a bar instead of the frame. */
function bar(role, id, deleted) {
  return h(
    "header",
    { class: "chat-bar" },
    h(
      "a",
      { class: "icon-button", href: "#/", "aria-label": t("back"), title: t("back") },
      icon("back"),
    ),
    portrait(role, { shape: "round" }),
    h("p", { class: "chat-bar-name" }, role.name),
    tools(role, id, deleted),
  );
}

function actions(role, id, deleted) {
  return h("div", { class: "stage-actions" }, tools(role, id, deleted));
}

function tools(role, id, deleted) {
  const mine = !deleted && role.owner_id === session()?.user.id;
  return [
    !deleted &&
      h(
        "a",
        {
          class: "icon-button",
          href: `#/call/${id}`,
          data: { call: "" },
          "aria-label": t("call.with", { name: role.name }),
          title: t("call.start"),
        },
        icon("phone"),
      ),
    !deleted &&
      iconButton("history", t("history.title", { name: role.name }), {
        onclick: () => showHistory(role),
      }),
    !deleted && iconButton("info", t("about", { name: role.name }), { onclick: () => about(role) }),
    mine &&
      h(
        "a",
        {
          class: "icon-button",
          href: `#/edit/${role.id}`,
          "aria-label": t("form.edit.name", { name: role.name }),
          title: t("form.edit"),
        },
        icon("edit"),
      ),
  ];
}

function about(role) {
  const parts = [
    [t("form.description"), role.description],
    [t("form.personality"), role.personality],
    [t("form.scenario"), role.scenario],
  ].filter(([, text]) => text);
  sheet(role.name, [
    h(
      "p",
      { class: "about-facts" },
      [t(`gender.${role.gender}`), t("about.age", { age: role.age }), ...(role.tags ?? [])].map(
        (fact) => h("span", {}, fact),
      ),
    ),
    parts.map(([title, text]) => [
      h("h3", {}, title),
      setProse(h("div", { class: "prose" }), text),
    ]),
  ]);
}
