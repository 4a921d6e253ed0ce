// Screens by the address's hash. The server knows one page only.

const routes = [];
let shown = { dispose() {} };
let generation = 0;

/**
 * Names a screen.
 * @param {RegExp} pattern of the path after `#`
 * @param {(outlet: HTMLElement, ...groups: string[]) => (() => void) | Promise<() => void>} show
 *   builds the screen and returns what takes it down
 * @param {object} options `name` of the screen, for its style; `open`: shown without login
 */
export function route(pattern, show, options = {}) {
  routes.push({ pattern, show, ...options });
}

/** The path after `#`, "/" at first. */
export function here() {
  return decodeURI(location.hash.slice(1)) || "/";
}

/** Goes to a path; `replace` leaves no trace in the history. */
export function go(path, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", `#${path}`);
  else location.hash = path;
  if (replace) dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The route of a path, with `groups`; undefined where there is none. */
export function match(path) {
  for (const candidate of routes) {
    const found = candidate.pattern.exec(path);
    if (found) return { ...candidate, groups: found.slice(1) };
  }
  return undefined;
}

/** Takes the present screen down and builds another in `outlet`. */
export async function present(outlet, found) {
  const mine = ++generation;
  shown.dispose();
  shown = { dispose() {} };
  const page = document.createElement("div");
  page.className = "screen";
  outlet.replaceChildren(page);
  const dispose = (await found.show(page, ...found.groups)) ?? (() => {});
  if (mine === generation) shown = { dispose };
  else dispose(); // somebody went on while it was loading
}
