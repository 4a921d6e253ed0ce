// localStorage that survives being refused (private mode, full disk): then for this page only.

const PREFIX = "liyuan.";
const memory = new Map();

/** The value kept under `name`, or `fallback`. */
export function load(name, fallback = null) {
  if (memory.has(name)) return memory.get(name);
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keeps a JSON value; null removes it. */
export function save(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    memory.delete(name);
  } catch {
    memory.set(name, value);
  }
}

/** Plain words, as `early.js` reads them. */
export function saveWord(name, word) {
  try {
    localStorage.setItem(PREFIX + name, word);
  } catch {
    memory.set(name, word);
  }
}

/** A plain word kept before. */
export function loadWord(name, fallback) {
  try {
    return localStorage.getItem(PREFIX + name) ?? memory.get(name) ?? fallback;
  } catch {
    return memory.get(name) ?? fallback;
  }
}

/** Calls `listener(newValue)` when another tab changes `name`. */
export function onForeignChange(name, listener) {
  addEventListener("storage", (event) => {
    if (event.key === PREFIX + name) listener(load(name));
  });
}

/** An id no one else has. `crypto.randomUUID` exists on secure origins alone. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
