// Light, dark, or as the system wishes.

import { loadWord, saveWord } from "./store.js";

const ORDER = ["auto", "light", "dark"];

/** "auto", "light" or "dark". */
export function theme() {
  const word = loadWord("theme", "auto");
  return ORDER.includes(word) ? word : "auto";
}

/** Goes to the next of the three and returns it. */
export function nextTheme() {
  const word = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  saveWord("theme", word);
  document.documentElement.dataset.theme = word;
  return word;
}
