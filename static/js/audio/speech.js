// Playing speech: pieces of mp3 as they come, or a stored file. One voice at a time.

const TYPE = "audio/mpeg";
let speaking = null;

const MediaSourceClass = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
const canStream = Boolean(MediaSourceClass?.isTypeSupported?.(TYPE));

/** Stops whoever speaks. */
export function hush() {
  speaking?.pause();
}

/** Starts an element, after silencing every other. @throws where the browser refuses to play */
export async function speak(audio) {
  if (speaking && speaking !== audio) speaking.pause();
  speaking = audio;
  await audio.play();
}

/**
 * Speech in pieces. Where the browser can, it sounds from the first piece on (MediaSource);
 * else all pieces are collected and it sounds when the last one is there.
 */
export class StreamedSpeech {
  #pieces = [];
  #waiting = [];
  #buffer = null;
  #finished = false;
  #url = "";
  #settle = null;
  audio = new Audio();

  /** @param {{onstart?: () => void, onblocked?: () => void}} handlers */
  constructor({ onstart, onblocked } = {}) {
    this.onblocked = onblocked;
    this.audio.addEventListener("playing", () => onstart?.(), { once: true });
    /** Resolves when it was heard to the end, or stopped. */
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    for (const name of ["ended", "error"]) this.audio.addEventListener(name, () => this.#settle());
    this.audio.addEventListener("pause", () => this.audio.ended || this.#paused());
    if (canStream) this.#stream();
  }

  #stream() {
    const source = new MediaSourceClass();
    this.audio.disableRemotePlayback = true; // what ManagedMediaSource asks for
    this.#setUrl(source);
    source.addEventListener(
      "sourceopen",
      () => {
        this.#buffer = source.addSourceBuffer(TYPE);
        this.#buffer.addEventListener("updateend", () => this.#pump(source));
        this.#pump(source);
      },
      { once: true },
    );
    this.pump = () => this.#pump(source);
  }

  /** The next piece. @param {string} base64 */
  append(base64) {
    if (!base64) return;
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const first = this.#pieces.push(bytes) === 1;
    if (!canStream) return;
    this.#waiting.push(bytes);
    this.pump();
    if (first) this.#play();
  }

  /** There are no more pieces. */
  finish() {
    this.#finished = true;
    if (this.#pieces.length === 0) this.#settle();
    else if (canStream) this.pump();
    else {
      this.#setUrl(new Blob(this.#pieces, { type: TYPE }));
      this.#play();
    }
  }

  /** Falls silent for good. */
  stop() {
    this.audio.pause();
    this.#settle();
    URL.revokeObjectURL(this.#url);
  }

  #pump(source) {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || source.readyState !== "open") return;
    if (this.#waiting.length > 0) buffer.appendBuffer(this.#waiting.shift());
    else if (this.#finished) source.endOfStream();
  }

  #play() {
    speak(this.audio).catch((error) => {
      if (error.name === "NotAllowedError") this.onblocked?.();
      if (error.name !== "AbortError") this.#settle();
    });
  }

  #paused() {
    if (speaking !== this.audio) this.#settle(); // another one took the stage
  }

  #setUrl(source) {
    this.#url = URL.createObjectURL(source);
    this.audio.src = this.#url;
  }
}
