// The call: the character on the whole screen.

import { call } from "../api.js";
import { Call } from "../chat/call.js";
import { announce, fill, h, icon, iconButton, relabel, setIcon } from "../dom.js";
import { available, voiceProblem } from "../health.js";
import { t } from "../i18n.js";
import { go } from "../router.js";
import { load, save } from "../store.js";
import { paint } from "../ui/portrait.js";
import { lastDirection, setProse } from "../ui/prose.js";
import { Stage } from "../ui/stage.js";

const STAGE_STATES = { ready: "idle", held: "idle", over: "idle" };

export async function callScreen(page, idText) {
  const conversation = await call("GET", `/api/conversations/${idText}`);
  const role = await call("GET", `/api/role/${conversation.role.id}`);
  document.title = `${t("call.with", { name: role.name })} · ${t("title")}`;

  const stage = new Stage(role);
  const status = h("p", { class: "call-status", role: "status" });
  const problem = h("p", { class: "call-problem", role: "alert", hidden: true });
  const hint = h("p", { class: "caption-hint" }, t("call.hint"));
  const heard = h("p", { class: "caption-user" });
  const said = h("div", { class: "caption-character prose" });
  const mute = iconButton("mic", t("call.mute"), {
    class: "call-button",
    "aria-pressed": false,
    onclick: toggleMute,
  });
  const byHand = iconButton("hand", t("call.byhand"), {
    class: "call-button",
    "aria-pressed": false,
    onclick: toggleByHand,
  });
  const hold = h(
    "button",
    { type: "button", class: "button call-hold" },
    icon("mic"),
    t("call.hold"),
  );
  const interrupt = h(
    "button",
    {
      type: "button",
      class: "button call-interrupt",
      hidden: true,
      onclick: () => talk.interrupt(),
    },
    icon("stop"),
    t("call.interrupt"),
  );
  const start = h(
    "button",
    { type: "button", class: "button primary call-start", onclick: begin },
    icon("phone"),
    t("call.start"),
  );
  const end = iconButton("hang-up", t("call.end"), {
    class: "call-button hang-up",
    onclick: leave,
  });

  let from = 0;
  const talk = new Call(
    { roleId: role.id, conversationId: conversation.id },
    {
      phase: showPhase,
      level: (level) => stage.setLevel(level),
      user: (text) => {
        heard.textContent = text === "…" ? "…" : t("call.you", { text });
        if (text === "…") fill(said);
        hint.hidden = true;
        problem.hidden = true;
      },
      character: (text) => {
        setProse(said, text);
        said.scrollTop = said.scrollHeight;
        stage.setMood(lastDirection(text));
      },
      problem: (text) => {
        problem.textContent = text;
        problem.hidden = false;
      },
      line: (state) => {
        const down = state === "waiting" || state === "closed";
        if (down && talk.phase !== "over")
          status.textContent = t(navigator.onLine ? "line.reconnecting" : "line.offline");
        else showPhase(talk.phase);
      },
    },
  );

  const missing = !available("asr") || !available("tts");
  start.disabled = missing;
  const controls = h("div", { class: "call-controls" }, byHand, mute, end);
  const element = h(
    "div",
    { class: "call" },
    stage.element,
    h(
      "div",
      { class: "call-panel" },
      status,
      problem,
      h("div", { class: "captions", "aria-live": "off" }, hint, heard, said),
      h("div", { class: "call-actions" }, start, hold, interrupt),
      controls,
    ),
  );
  paint(element, role);
  fill(page, element);
  stage.doorway.addEventListener("click", () => talk.interrupt());
  bindHold();
  document.addEventListener("keydown", onkey);
  setByHand(load("call.byhand", false));
  showPhase("ready");
  if (missing) showMissing();
  start.focus({ preventScroll: true });

  let light = null; // keeps a phone's screen on
  return () => {
    document.removeEventListener("keydown", onkey);
    talk.end();
    light?.release();
  };

  async function begin() {
    from = Date.now();
    start.disabled = true;
    problem.hidden = true;
    status.textContent = t("call.opening");
    try {
      await talk.start();
      light = await navigator.wakeLock?.request("screen").catch(() => null);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      status.textContent = t("call.ready", { name: role.name });
    } finally {
      start.disabled = false;
    }
  }

  function leave() {
    talk.end();
    if (from) announce(t("call.ended"));
    go(`/c/${conversation.id}`, { replace: true });
  }

  function showPhase(phase) {
    element.dataset.phase = phase;
    stage.setState(STAGE_STATES[phase] ?? phase);
    start.hidden = phase !== "ready";
    interrupt.hidden = phase !== "speaking" && phase !== "thinking";
    hold.hidden = phase === "ready" || phase === "over" || !talk.byHand;
    mute.hidden = byHand.hidden = phase === "ready";
    const muted = phase === "held" && talk.muted;
    status.textContent = t(muted ? "call.muted" : `call.${phase}`, { name: role.name });
  }

  function toggleMute() {
    talk.setMuted(!talk.muted);
    mute.setAttribute("aria-pressed", talk.muted);
    setIcon(mute, talk.muted ? "mic-off" : "mic");
    relabel(mute, t(talk.muted ? "call.unmute" : "call.mute"));
  }

  function toggleByHand() {
    setByHand(!talk.byHand);
    save("call.byhand", talk.byHand);
    showPhase(talk.phase);
  }

  function setByHand(on) {
    talk.setByHand(on);
    byHand.setAttribute("aria-pressed", on);
  }

  function bindHold() {
    hold.addEventListener("pointerdown", (event) => {
      hold.setPointerCapture(event.pointerId);
      talk.press();
    });
    for (const name of ["pointerup", "pointercancel"])
      hold.addEventListener(name, () => talk.letGo());
    hold.addEventListener("contextmenu", (event) => event.preventDefault());
    hold.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) talk.press();
    });
    hold.addEventListener(
      "keyup",
      (event) => (event.key === " " || event.key === "Enter") && talk.letGo(),
    );
  }

  function onkey(event) {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) talk.interrupt();
  }

  function showMissing() {
    problem.textContent = `${t("call.missing")} ${voiceProblem()}`;
    problem.hidden = false;
  }
}
