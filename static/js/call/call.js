// A call: microphone, line and loudspeaker around one dialogue.

import { Capture } from "../audio/capture.js";
import { choose, chosen, onDevices } from "../audio/devices.js";
import { Loudspeaker } from "../audio/loudspeaker.js";
import { loudness } from "../audio/microphone.js";
import { hush } from "../audio/speech.js";
import { Socket } from "../socket.js";
import { Captions } from "./captions.js";
import { Dialogue } from "./dialogue.js";
import { Gate } from "./gate.js";
import { phaseOf } from "./phase.js";
import { whyRefused } from "./refusal.js";
import { keepAwake } from "./wake-lock.js";

const LOUDEST = 32_768; // of PCM16
const SHORTEST = 300; // ms held down; less was a slip of the finger
const DOUBTFUL = 3; // failures of the line in a row after which the server is asked why
const PULSE = 15_000; // ms between two signs of life that the line is asked for
const PATIENCE = 10_000; // ms in which these are answered, or the line is dead
const ANSWERED = new Set([
  "session.update",
  "input_audio_buffer.commit",
  "input_audio_buffer.clear",
]);
const SETTLING = 3000; // ms after a call in which its last words may still be stored

let last = { conversationId: 0, at: -SETTLING };

/** Whether a call of this conversation has ended a moment ago. */
export function justEnded(conversationId) {
  return last.conversationId === conversationId && performance.now() - last.at < SETTLING;
}

/** One call; see `phaseOf` for its phases. */
export class Call {
  #begun = false;
  #over = false;
  #ending = null; // the promise that it has ended
  #line = null;
  #capture = null;
  #failures = 0; // of the line, since it was open
  #opening = 0; // of the microphone: the newest counts
  #pulse = 0;
  #sleepy = () => {};
  #unplugged = () => {};
  deaf = false; // nothing comes of the microphone
  muted = false;
  byHand = false;

  /**
   * @param {{roleId: number, conversationId: number, language: "zh"|"en"}} target
   * @param {object} view `phase(name)`, `level(who, 0..1)` with who "user" or "character",
   *   `caption(line, removed)`, `problem(kind, text)` with the kinds of `Dialogue`, "short" (the
   *   button was held too briefly), "microphone" (text says why there is none), and those of
   *   `whyRefused`; `back(how)` of `Dialogue`, and `line(state)`, as
   *   `Socket` names them
   */
  constructor(target, view) {
    Object.assign(this, { target, view });
    this.captions = new Captions((line, removed) => view.caption(line, removed));
    this.loudspeaker = new Loudspeaker({
      onplayed: (id, ms, level) => {
        this.dialogue.onplayed(id, ms);
        view.level("character", level);
      },
      onended: (id) => this.dialogue.onended(id),
    });
    this.dialogue = new Dialogue({
      send: (event) => this.#line?.send(event),
      loudspeaker: this.loudspeaker,
      captions: this.captions,
      language: target.language,
      onchange: () => this.#show(),
      onproblem: (kind) => view.problem(kind),
      onback: (how) => view.back(how),
    });
    this.gate = new Gate((samples) => this.dialogue.hear(samples));
  }

  get phase() {
    const { deaf, muted, byHand } = this;
    const { connected, lost, speaking, heard, awaited } = this.dialogue;
    const [begun, over] = [this.#begun, this.#over];
    const said = { speaking, heard, awaited, deaf, muted, byHand };
    return phaseOf({ begun, over, connected, lost, ...said });
  }

  /** Opens loudspeaker, microphone and line. @throws {MicrophoneError} */
  async start() {
    hush();
    try {
      await this.#openAudio();
    } catch (error) {
      this.#letGo();
      throw error;
    }
    if (this.#over) return;
    this.#begun = true;
    this.#failures = 0;
    this.#sleepy = keepAwake();
    document.addEventListener("visibilitychange", this.#wake);
    this.#unplugged = onDevices(() => this.deaf && this.#recover());
    const { roleId, conversationId } = this.target;
    // Held or muted nothing else would be sent, and a dead line not be noticed.
    this.#pulse = setInterval(() => this.dialogue.connected && this.dialogue.touch(), PULSE);
    const query = new URLSearchParams({ model: `role:${roleId}`, conversation: conversationId });
    this.#line = new Socket(
      `/v1/realtime?${query}`,
      {
        onmessage: (event) => this.dialogue.receive(event),
        onstate: (state) => this.#lineIs(state),
      },
      {
        protocols: (token) => ["realtime", `openai-insecure-api-key.${token}`],
        patience: ({ type }) => (ANSWERED.has(type) ? PATIENCE : 0),
      },
    );
    this.#line.open();
    this.#show();
  }

  /** Hangs up. @returns {Promise<void>} when the server knows how much was heard */
  end() {
    return (this.#ending ??= this.#end());
  }

  async #end() {
    this.#over = true;
    this.#show();
    this.#closeMicrophone();
    if (this.#begun) {
      last = { conversationId: this.target.conversationId, at: performance.now() };
      await this.dialogue.interrupt();
    }
    this.#letGo();
    this.loudspeaker.close();
  }

  /** Cuts the character short. */
  interrupt() {
    if (this.phase === "thinking" || this.phase === "speaking") this.dialogue.interrupt();
  }

  /** Whether the microphone is heard at all. */
  setMuted(muted) {
    this.muted = muted;
    this.gate.setMuted(muted);
    this.view.level("user", 0);
    this.#show();
  }

  /** Whether one holds a button to speak, or the silence ends what was said. */
  setByHand(byHand) {
    if (this.byHand === byHand) return;
    this.byHand = byHand;
    this.gate.setByHand(byHand);
    if (this.#line?.state === "open") this.dialogue.setByHand(byHand);
    this.#show();
  }

  /** The button is held down: also interrupts. */
  press() {
    if (!this.dialogue.connected || !this.byHand || this.muted || this.deaf) return;
    if (this.gate.takeBack() && this.dialogue.heard) return;
    this.dialogue.press();
    this.gate.press();
  }

  /** The button is let go. */
  async letGo() {
    const held = await this.gate.letGo();
    if (held === null || !this.dialogue.heard || !this.byHand) return; // or the line was lost
    const said = held >= SHORTEST;
    this.dialogue.letGo(said);
    if (!said) this.view.problem("short");
  }

  /** Another microphone, for this call and the next ones. @throws {MicrophoneError} */
  async useMicrophone(device) {
    choose("audioinput", device);
    if (this.#begun && !this.#over) await this.#openMicrophone(device);
  }

  /** Another loudspeaker. @throws where it is gone */
  async useLoudspeaker(device) {
    await this.loudspeaker.useDevice(device);
    choose("audiooutput", device);
  }

  /** Connects now, where it would wait a while. */
  reconnect() {
    this.#line?.open();
  }

  /** Another try to open the microphone; by a gesture, where the browser wants one. */
  reopenMicrophone() {
    this.#wake();
    return this.#recover();
  }

  async #openAudio() {
    const sounding = this.loudspeaker.open(); // within the click, or no sound is allowed
    sounding.catch(() => {}); // it is waited for below
    await this.#openMicrophone(chosen("audioinput"));
    await sounding;
    this.loudspeaker.wake(); // the microphone may have stilled it
    if (this.#over) return;
    const device = chosen("audiooutput");
    await this.useLoudspeaker(device).catch(() => this.#over || choose("audiooutput", ""));
  }

  async #openMicrophone(device) {
    const mine = ++this.#opening;
    const capture = await Capture.open({
      device,
      onblock: (samples) => capture === this.#capture && this.#hear(samples),
      onlost: () => capture === this.#capture && this.#recover(),
      onasleep: (asleep) => capture === this.#capture && this.#deafen(asleep),
    });
    if (mine !== this.#opening) {
      capture.close(); // hung up, or chosen anew, while the browser asked
      return;
    }
    this.#capture?.close();
    this.#capture = capture;
    this.#deafen(capture.asleep);
  }

  /** The microphone is gone: another one takes its place, as soon as there is one. */
  async #recover() {
    this.#deafen(true);
    try {
      await this.#openMicrophone(chosen("audioinput"));
    } catch (error) {
      if (this.deaf && this.#begun && !this.#over) this.view.problem("microphone", error.message);
    }
  }

  #deafen(deaf) {
    if (this.deaf === deaf) return;
    this.deaf = deaf;
    this.view.level("user", 0);
    this.#show();
  }

  #hear(samples) {
    if (!this.dialogue.connected) return;
    if (!this.muted) this.view.level("user", loudness(samples, LOUDEST));
    this.gate.push(samples, this.dialogue.heard);
  }

  #lineIs(state) {
    if (state === "open") {
      this.#failures = 0;
      this.dialogue.begin(this.byHand);
    } else if (state !== "opening") this.dialogue.drop();
    this.view.line(state);
    if (state === "waiting" && ++this.#failures % DOUBTFUL === 0) this.#explain();
    if (state === "dormant") this.#line.open(); // its session was at an end
  }

  async #explain() {
    const reason = await whyRefused();
    if (!reason || this.#over || this.dialogue.connected) return;
    this.view.problem(reason);
    if (reason === "closed") this.#letGo();
    this.#show();
  }

  /** Lets go of all that a call holds; it may be begun again. */
  #letGo() {
    this.#begun = false;
    document.removeEventListener("visibilitychange", this.#wake);
    clearInterval(this.#pulse);
    this.#sleepy();
    this.#unplugged();
    this.#closeMicrophone();
    this.#line?.close();
  }

  #closeMicrophone() {
    this.#opening++;
    this.#capture?.close();
    this.#capture = null;
  }

  #wake = () => {
    if (document.hidden) return;
    this.#capture?.wake();
    this.loudspeaker.wake();
    if (this.deaf && this.#begun) this.#recover();
  };

  #show() {
    const { due, pauses } = this.dialogue;
    if (due && pauses && !this.#over) this.#line?.rest(); // and it opens anew
    this.view.phase(this.phase);
  }
}
