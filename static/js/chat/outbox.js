// Messages that were not answered yet. They outlive a lost connection and a reload: sent again
// under their own id they start nothing twice.

import { session } from "../session.js";
import { load, save } from "../store.js";

const name = () => `outbox.${session()?.user.id ?? 0}`;

/**
 * @typedef {object} Entry
 * @property {string} id the client's message id
 * @property {number} roleId
 * @property {number} conversationId
 * @property {"text"|"voice"} type
 * @property {string} message the text, or the address of the stored speech
 * @property {string} [format] of speech
 * @property {0|1|2} responseType text, voice, either
 * @property {string} createdAt
 * @property {boolean} [cancelled] the user wants no answer any more
 */

/** All entries, oldest first; those of one conversation where it is named. */
export function pending(conversationId) {
  const entries = load(name(), []);
  return conversationId
    ? entries.filter((entry) => entry.conversationId === conversationId)
    : entries;
}

/** Keeps an entry, in place of one with its id. */
export function keep(entry) {
  const others = load(name(), []);
  const at = others.findIndex(({ id }) => id === entry.id);
  if (at < 0) others.push(entry);
  else others[at] = entry;
  save(name(), others);
}

/** Forgets an entry: it has its final answer. */
export function settle(id) {
  const entries = load(name(), []);
  const left = entries.filter((entry) => entry.id !== id);
  if (left.length < entries.length) save(name(), left.length ? left : null);
}
