// A character's picture, in the character's colours.

import { h, setVars } from "../dom.js";

// For characters who brought no colours of their own: [ground, accent], all of one palette.
const PAIRS = [
  ["#1f3d36", "#d9c38a"],
  ["#f0d9cf", "#a12d47"],
  ["#22304a", "#9cc3d6"],
  ["#e4e8cf", "#4b6a3a"],
  ["#4a2230", "#efb6a8"],
  ["#f1e1b8", "#7c4a1f"],
];

/** `{ground, accent}` of a role. */
export function colorsOf(role) {
  const [ground, accent] = PAIRS[(role.id ?? 0) % PAIRS.length];
  const valid = (color) => /^#[0-9a-f]{6}$/i.test(color ?? "");
  const { colors = {} } = role;
  return valid(colors?.ground) && valid(colors?.accent) ? colors : { ground, accent };
}

/** Puts a role's colours on an element, with an ink that reads on its ground. */
export function paint(element, role) {
  const { ground, accent } = colorsOf(role);
  const light = luminance(ground) > 0.3;
  setVars(element, {
    "--ground": ground,
    "--accent": accent,
    "--on-ground": light ? "#17201d" : "#fbf7ee",
    "--on-accent": luminance(accent) > 0.3 ? "#17201d" : "#fbf7ee",
  });
  element.dataset.ground = light ? "light" : "dark";
}

/** WCAG's relative luminance. */
function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * The picture (decorative: the name stands beside it); where there is none, the name's first
 * character before a moon, as the preset pictures have it.
 */
export function portrait(role, { shape = "full" } = {}) {
  const frame = h("div", { class: `portrait portrait-${shape}`, "aria-hidden": true });
  paint(frame, role);
  const letter = () =>
    h("span", { class: "portrait-letter" }, Array.from(role.name ?? "")[0] ?? "?");
  if (!role.portrait || role.portrait.endsWith("/_default.svg")) {
    frame.append(letter());
    return frame;
  }
  const image = h("img", { src: role.portrait, alt: "", decoding: "async", draggable: false });
  image.addEventListener("error", () => image.replaceWith(letter()), { once: true });
  frame.append(image);
  return frame;
}
