// Building elements. Data enters the page as text nodes and attributes, never as HTML.

const SPRITE = new URL("../icons/sprite.svg", import.meta.url).pathname;
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} tag
 * @param {object} props `class`, `vars` (CSS custom properties), `data`, `on<event>`; a DOM
 *   property where the element has one of that name, else an attribute. null and undefined
 *   are left out; so is false, except for `aria-*`.
 * @param {...(Node|string|null|false|Array)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name === "class") element.className = value;
    else if (name === "vars") setVars(element, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role") element.setAttribute(name, String(value));
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** CSS custom properties, by CSSOM: the page's policy allows no style attributes. */
export function setVars(element, vars) {
  for (const [name, value] of Object.entries(vars)) {
    if (value === null || value === undefined) element.style.removeProperty(name);
    else element.style.setProperty(name, value);
  }
}

/** A decorative icon of the sprite; its button carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Changes the icon of `element` to another of the sprite. */
export function setIcon(element, name) {
  element.querySelector("use").setAttribute("href", `${SPRITE}#${name}`);
}

/** A round button that shows an icon alone; `label` is its name and tooltip. */
export function iconButton(name, label, props = {}) {
  const { class: extra = "", ...rest } = props;
  return h(
    "button",
    { type: "button", class: `icon-button ${extra}`, "aria-label": label, title: label, ...rest },
    icon(name),
  );
}

/** Names an icon button anew. */
export function relabel(button, label) {
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** Says something to screen readers without moving the focus. */
export function announce(text) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 60); // the change is what is read out
}
