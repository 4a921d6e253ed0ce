// What both sides have said, in step with what is heard. Knows nothing of the page.

/**
 * @typedef {object} Line
 * @property {string} id of the item
 * @property {"user"|"character"|"note"} author
 * @property {string} text that is to be read now
 * @property {boolean} open more may come
 * @property {boolean} cut it was interrupted
 */

export class Captions {
  #lines = new Map();
  #sentences = new Map(); // id of an item → [{text, at}], still to be heard

  /** @param {(line: Line, removed: boolean) => void} onchange */
  constructor(onchange) {
    this.onchange = onchange;
  }

  /** The user begins to speak: a line without words as yet. */
  userSpeaks(id) {
    if (!this.#lines.has(id)) this.#show(this.#line(id, "user"));
  }

  /** More of what was understood of the user. */
  userMore(id, text) {
    const line = this.#line(id, "user");
    line.text += text;
    this.#show(line);
  }

  /** All that was understood; a line without words is taken away. */
  userSaid(id, text) {
    const line = this.#line(id, "user");
    line.text = text.trim();
    line.open = false;
    this.#show(line, !line.text);
  }

  /** Nothing more comes of what the user said, of one item or of all; no words, no line. */
  abandon(id = null) {
    for (const line of [...this.#lines.values()]) {
      if (line.author !== "user" || !line.open || (id && line.id !== id)) continue;
      line.open = false;
      this.#show(line, !line.text);
    }
  }

  /** More of the character's words; shown when its audio is heard from `at` ms on. */
  sentence(id, text, at) {
    const waiting = this.#sentences.get(id) ?? [];
    waiting.push({ text, at });
    this.#sentences.set(id, waiting);
  }

  /** So much of the character's item was heard. @param {number} ms */
  heard(id, ms) {
    const waiting = this.#sentences.get(id);
    if (!waiting?.length || waiting[0].at > ms) return;
    const line = this.#line(id, "character");
    while (waiting[0]?.at <= ms) line.text += waiting.shift().text;
    this.#show(line);
  }

  /** The item is complete and was heard to its end. */
  finish(id) {
    this.heard(id, Infinity);
    this.#close(id);
  }

  /** The item was cut off: what was not heard by then is never shown. */
  cut(id) {
    const line = this.#lines.get(id);
    if (line) line.cut = true;
    this.#close(id);
  }

  /** A word of the call itself. */
  note(text) {
    const line = this.#line(`note-${this.#lines.size}`, "note");
    Object.assign(line, { text, open: false });
    this.#show(line);
  }

  #close(id) {
    this.#sentences.delete(id);
    const line = this.#lines.get(id);
    if (!line?.open) return;
    line.open = false;
    this.#show(line);
  }

  #line(id, author) {
    const known = this.#lines.get(id);
    if (known) return known;
    const line = { id, author, text: "", open: true, cut: false };
    this.#lines.set(id, line);
    return line;
  }

  #show(line, removed = false) {
    if (removed) this.#lines.delete(line.id);
    this.onchange(line, removed);
  }
}
