// A call over `/api/ws/voice_chat`: listen, send, think, speak, and listen again.

import { uploadVoice } from "../api.js";
import { Listener } from "../audio/listener.js";
import { hush, StreamedSpeech } from "../audio/speech.js";
import { Socket } from "../socket.js";
import { newId } from "../store.js";
import { explain } from "../ui/feedback.js";
import { t } from "../i18n.js";

/**
 * One call. Its phases: "ready", "listening", "thinking", "speaking", "held" (by the mute
 * button, or waiting for push to talk), "over".
 */
export class Call {
  #socket = null;
  #listener = null;
  #turn = null; // {id, payload, speech, heard}
  phase = "ready";
  muted = false;
  byHand = false;

  /**
   * @param {{roleId: number, conversationId: number}} target
   * @param {object} view `phase(name)`, `level(0..1)`, `user(text)`, `character(text)`,
   *   `problem(text)`, `line(state)`
   */
  constructor(target, view) {
    Object.assign(this, { target, view });
  }

  /** Opens microphone and line. @throws {import("../audio/microphone.js").MicrophoneError} */
  async start() {
    hush();
    this.#listener = await Listener.open({
      onlevel: (level) => this.view.level(level),
      onbegin: () => this.view.user("…"),
      onutterance: (wav) => this.#send(wav),
    });
    if (this.phase === "over") {
      this.#listener.close();
      return;
    }
    this.#socket = new Socket("/api/ws/voice_chat", {
      onmessage: (message) => this.#receive(message),
      onstate: (state) => this.#line(state),
    });
    this.#socket.open();
    this.#listen();
  }

  /** Hangs up. */
  end() {
    if (this.phase === "over") return;
    this.#interrupt();
    this.#become("over");
    this.#listener?.close();
    this.#socket?.close();
  }

  /** Cuts the character short and listens. */
  interrupt() {
    if (this.phase !== "thinking" && this.phase !== "speaking") return;
    this.#interrupt();
    this.#listen();
  }

  /** Whether the microphone is heard at all. */
  setMuted(muted) {
    this.muted = muted;
    if (this.phase === "listening" || this.phase === "held") this.#listen();
  }

  /** Whether one holds a button to speak, or the silence ends what was said. */
  setByHand(byHand) {
    this.byHand = byHand;
    if (this.phase === "listening" || this.phase === "held") this.#listen();
  }

  /** The button is held down: also interrupts. */
  press() {
    if (!this.#listener || this.muted || this.phase === "over") return;
    this.#interrupt();
    this.#listener.listen("held");
    this.#become("listening");
  }

  /** The button is let go. */
  async letGo() {
    if (!this.#listener || this.phase !== "listening") return;
    await this.#listener.letGo();
    if (this.phase === "listening") this.#listen(); // too short to be anything
  }

  #listen() {
    const heard = !this.muted && !this.byHand;
    this.#listener.listen(heard ? "auto" : "off");
    this.#become(heard ? "listening" : "held");
  }

  async #send(wav) {
    this.view.user("…");
    this.#become("thinking");
    const turn = { id: newId(), payload: null, speech: null, text: "", heard: false };
    this.#turn = turn;
    try {
      const { url, format } = await uploadVoice(wav, "wav");
      if (this.#turn !== turn) return;
      turn.payload = {
        role_id: this.target.roleId,
        conversation_id: this.target.conversationId,
        voice_url: url,
        format,
        id: turn.id,
        stream: true,
      };
      this.#socket.send(turn.payload); // where it is not open, `#line` sends it
    } catch (error) {
      if (this.#turn === turn) this.#fail(explain(error));
    }
  }

  #line(state) {
    this.view.line(state);
    const turn = this.#turn;
    if (state !== "open" || !turn?.payload) return;
    // Sent again under its id it starts nothing new; but what was heard is not said twice.
    if (turn.heard) this.#fail(t("call.broken"));
    else {
      turn.text = "";
      this.#socket.send(turn.payload);
    }
  }

  #receive(message) {
    const turn = this.#turn;
    if (!turn || message.id !== turn.id) return; // of a turn that was interrupted
    if (message.type === "error") {
      if (message.code !== 404 || !turn.text) this.#fail(message.data);
    } else if (message.type === "transcript") this.view.user(message.message);
    else if (message.type === "delta") {
      turn.text += message.message;
      this.view.character(turn.text);
    } else if (message.type === "audio") this.#sound(turn, message);
  }

  #sound(turn, message) {
    if (!turn.speech && message.data) {
      turn.speech = new StreamedSpeech({
        onstart: () => {
          turn.heard = true;
          if (this.#turn === turn) this.#become("speaking");
        },
        onblocked: () => this.view.problem(t("player.blocked")),
      });
      turn.speech.ended.then(() => this.#turn === turn && this.#done());
    }
    turn.speech?.append(message.data);
    if (!message.is_final) return;
    if (message.text) this.view.character(message.text);
    if (turn.speech) turn.speech.finish();
    else this.#done();
  }

  #done() {
    this.#turn = null;
    this.#listen();
  }

  #fail(text) {
    this.view.problem(text);
    this.#turn?.speech?.stop();
    this.#done();
  }

  #interrupt() {
    const turn = this.#turn;
    this.#turn = null;
    if (!turn) return;
    turn.speech?.stop();
    if (turn.payload) this.#socket?.send({ type: "cancel", id: turn.id });
  }

  #become(phase) {
    this.phase = phase;
    this.view.phase(phase);
  }
}
