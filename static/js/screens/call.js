// The call: the character on the whole screen.

import { call } from "../api.js";
import { MicrophoneError } from "../audio/microphone.js";
import { Call } from "../call/call.js";
import { announce, fill, h, icon, setVars } from "../dom.js";
import { available, onHealth, understudy, voiceProblem } from "../health.js";
import { t } from "../i18n.js";
import { go } from "../router.js";
import { load, save } from "../store.js";
import { CallControls } from "../ui/call-controls.js";
import { CaptionList } from "../ui/captions.js";
import { deviceSheet } from "../ui/device-sheet.js";
import { holdButton } from "../ui/hold-button.js";
import { LevelMeter } from "../ui/level-meter.js";
import { paint } from "../ui/portrait.js";
import { Stage } from "../ui/stage.js";

const STAGE_STATES = new Set(["listening", "thinking", "speaking"]);
const VOICES = { listening: "user", speaking: "character" }; // whose bars the meter shows

export async function callScreen(page, idText) {
  const conversation = await call("GET", `/api/conversations/${idText}`);
  const role = await call("GET", `/api/role/${conversation.role.id}`);
  const { name } = role;
  document.title = `${t("call.with", { name })} · ${t("title")}`;

  const stage = new Stage(role);
  const status = h("p", { class: "call-status", role: "status" });
  const problem = h("p", { class: "call-problem", role: "alert", hidden: true });
  const hint = h("p", { class: "call-hint" });
  const again = h(
    "button",
    { type: "button", class: "text-button call-again", onclick: () => talk.reconnect() },
    icon("retry"),
    t("line.now"),
  );
  const reopen = h(
    "button",
    { type: "button", class: "text-button call-reopen", onclick: () => talk.reopenMicrophone() },
    icon("mic"),
    t("call.reopen"),
  );
  const meter = new LevelMeter();
  const captions = new CaptionList(name, role.language);
  const controls = new CallControls({
    onmute: () => talk.setMuted(!talk.muted),
    onbyhand: () => {
      talk.setByHand(!talk.byHand);
      save("call.byhand", talk.byHand);
      if (talk.byHand) hold.focus({ preventScroll: true }); // the space bar holds it
    },
    onend: leave,
    ondevices: () =>
      deviceSheet({
        onmicrophone: (id) => talk.useMicrophone(id),
        onloudspeaker: (id) => talk.useLoudspeaker(id),
      }),
    oninterrupt: () => talk.interrupt(),
  });
  const hold = holdButton({
    label: t("call.hold"),
    class: "call-hold",
    onpress: () => {
      problem.hidden = true;
      talk.press();
    },
    onletgo: () => talk.letGo(),
  });
  const start = h(
    "button",
    { type: "button", class: "button primary call-start", onclick: begin },
    icon("phone"),
    t("call.start"),
  );
  const back = h("a", { class: "button call-back", href: `#/c/${conversation.id}` }, t("back"));

  let lineState = "closed";
  let missing = false; // ears or a voice, at the server
  const target = { roleId: role.id, conversationId: conversation.id, language: role.language };
  const talk = new Call(target, {
    phase: show,
    level: showLevel,
    caption: (line, removed) => {
      captions.show(line, removed);
      if (line.author === "user" && !removed) problem.hidden = true;
    },
    problem: (kind, text) => complain(text ? `${t(`call.${kind}`)} ${text}` : t(`call.${kind}`)),
    back: (how) => {
      problem.hidden = true;
      talk.captions.note(t(`call.${how}`, { name }));
    },
    line: (state) => {
      lineState = state;
      show(talk.phase);
    },
  });

  const element = h(
    "div",
    { class: "call" },
    stage.element,
    h(
      "div",
      { class: "call-panel" },
      captions.element,
      hint,
      problem,
      h("div", { class: "call-head" }, status, meter.element, again, reopen),
      h("div", { class: "call-actions" }, start, back, hold),
      controls.element,
    ),
  );
  paint(element, role);
  fill(page, element);
  stage.doorway.addEventListener("click", () => talk.interrupt());
  document.addEventListener("keydown", onkey);
  talk.setByHand(load("call.byhand", false));
  show("ready");
  const unhealth = onHealth(showHealth);
  showHealth();
  start.focus({ preventScroll: true });

  return () => {
    unhealth();
    document.removeEventListener("keydown", onkey);
    captions.dispose();
    talk.end();
  };

  async function begin() {
    start.disabled = true;
    problem.hidden = true;
    status.textContent = t("call.microphone.asked");
    try {
      await talk.start();
      (talk.byHand ? hold : controls.mute).focus({ preventScroll: true });
    } catch (error) {
      if (talk.phase === "over") return;
      complain(error instanceof MicrophoneError ? error.message : t("error.network"));
      show(talk.phase);
    } finally {
      start.disabled = missing;
      if (talk.phase === "ready") start.focus({ preventScroll: true });
    }
  }

  async function leave() {
    if (talk.phase === "over") return; // it was pressed twice
    await talk.end();
    if (!element.isConnected) return; // one went elsewhere meanwhile
    announce(t("call.ended"));
    go(`/c/${conversation.id}`, { replace: true });
  }

  function showHealth() {
    const before = missing;
    missing = !available("asr") || !available("tts");
    if (talk.phase !== "ready") return;
    start.disabled = missing;
    if (missing) complain(`${t("call.missing")} ${voiceProblem()}`);
    else if (before) problem.hidden = true;
    show("ready");
  }

  function show(phase) {
    const focused = element.contains(document.activeElement) && document.activeElement;
    if (element.dataset.phase === "opening" && talk.dialogue.connected) problem.hidden = true;
    element.dataset.phase = phase;
    stage.setState(STAGE_STATES.has(phase) ? phase : "idle");
    meter.setWhose(VOICES[phase] ?? "nobody");
    const ready = phase === "ready";
    start.hidden = back.hidden = !ready;
    hint.hidden = phase === "over" || captions.element.hasChildNodes();
    const how = t(talk.byHand ? "call.hint.byhand" : "call.hint");
    hint.textContent = understudy() ? `${how} ${t("call.understudy")}` : how;
    captions.element.hidden = !captions.element.hasChildNodes();
    controls.element.hidden = ready;
    again.hidden = lineState !== "waiting" || ready || phase === "over";
    if (!talk.deaf && !reopen.hidden) problem.hidden = true; // the microphone is back
    reopen.hidden = !talk.deaf || ready || phase === "over" || !again.hidden;
    meter.element.hidden = ready || !again.hidden || !reopen.hidden;
    hold.hidden = ready || !talk.byHand;
    element.toggleAttribute("data-byhand", !hold.hidden);
    // Not disabled in earnest: a button that is held must be told when it is let go.
    const idle = talk.muted || talk.deaf || phase === "opening" || phase === "lost";
    hold.setAttribute("aria-disabled", idle);
    const interruptible = phase === "speaking" || phase === "thinking";
    controls.show({ muted: talk.muted, byHand: talk.byHand, interruptible });
    const word = t(`call.is.${wordOf(phase)}`, { name });
    if (status.textContent !== word) status.textContent = word; // it is read out at each change
    if (focused && !focused.checkVisibility())
      (ready ? start : controls.mute).focus({ preventScroll: true });
  }

  /** Why there is no line is said, where it is known. */
  function wordOf(phase) {
    if (phase !== "opening" && phase !== "lost") return phase;
    if (!navigator.onLine) return "offline";
    if (talk.dialogue.due && lineState === "opening") return "renewing";
    return phase === "opening" && lineState === "waiting" ? "unreached" : phase;
  }

  function showLevel(who, level) {
    if (who === "user") setVars(controls.mute, { "--level": level.toFixed(2) });
    if (who !== VOICES[talk.phase]) return;
    stage.setLevel(level);
    meter.push(level);
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = false;
  }

  function onkey(event) {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) talk.interrupt();
  }
}
