// A voice message, recorded in whatever this browser records.

import { openMicrophone, release, watchLevel } from "./microphone.js";

const FORMATS = [
  ["audio/webm;codecs=opus", "webm"],
  ["audio/mp4", "m4a"],
  ["audio/ogg;codecs=opus", "ogg"],
];

/** The longest message in seconds; the server takes 60. */
export const LONGEST = 58;

export class Recorder {
  #chunks = [];
  #begun = 0;

  /**
   * Begins to record.
   * @param {{onlevel: (level: number, seconds: number) => void, onfull: () => void}} handlers
   *   `onfull` when the longest length is reached; it does not stop by itself
   * @returns {Promise<Recorder>}
   * @throws {import("./microphone.js").MicrophoneError}
   */
  static async start({ onlevel, onfull }) {
    const recorder = new Recorder();
    const stream = await openMicrophone();
    const [type, extension] = FORMATS.find(([name]) => MediaRecorder.isTypeSupported(name)) ?? [
      "",
      "webm",
    ];
    recorder.extension = extension;
    recorder.stream = stream;
    recorder.media = new MediaRecorder(
      stream,
      type ? { mimeType: type, audioBitsPerSecond: 32_000 } : {},
    );
    recorder.media.ondataavailable = (event) =>
      event.data.size && recorder.#chunks.push(event.data);
    recorder.context = new AudioContext();
    recorder.#begun = performance.now();
    recorder.media.start(250);
    let full = false;
    recorder.unwatch = watchLevel(recorder.context, stream, (level) => {
      onlevel(level, recorder.seconds);
      if (recorder.seconds < LONGEST || full) return;
      full = true;
      onfull();
    });
    return recorder;
  }

  /** Seconds since it began. */
  get seconds() {
    return (performance.now() - this.#begun) / 1000;
  }

  /** Ends it. @returns {Promise<{blob: Blob, seconds: number, extension: string}>} */
  async stop() {
    const seconds = this.seconds;
    const stopped = new Promise((resolve) => (this.media.onstop = resolve));
    this.media.stop();
    await stopped;
    this.#close();
    const blob = new Blob(this.#chunks, { type: this.media.mimeType });
    return { blob, seconds, extension: this.extension };
  }

  /** Throws it away. */
  cancel() {
    this.media.onstop = null;
    if (this.media.state !== "inactive") this.media.stop();
    this.#close();
  }

  #close() {
    this.unwatch();
    release(this.stream);
    this.context.close();
  }
}
