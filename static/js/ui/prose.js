// What characters say: paragraphs, stage directions, emphasis. Everything becomes text nodes.

import { fill, h } from "../dom.js";

// （…）, (…) and *…* are stage directions; **…** is stressed.
const PARTS = /\*\*([^*\n]+)\*\*|（([^（）]*)）|\(([^()\n]*)\)|\*([^*\n]+)\*/g;

/** Fills `element` with a text's paragraphs. */
export function setProse(element, text) {
  return fill(
    element,
    text
      .trim()
      .split(/\n+/)
      .map((line) => h("p", {}, parts(line))),
  );
}

function parts(line) {
  const found = [];
  let at = 0;
  for (const match of line.matchAll(PARTS)) {
    const [whole, stressed, ...directions] = match;
    found.push(line.slice(at, match.index));
    const isDirection = stressed === undefined;
    found.push(
      isDirection
        ? h("i", { class: "direction" }, shown(whole, directions))
        : h("strong", {}, stressed),
    );
    at = match.index + whole.length;
  }
  found.push(line.slice(at));
  return found.filter((part) => part !== "");
}

/** Brackets stay, asterisks are only marks. */
function shown(whole, directions) {
  return whole.startsWith("*") ? directions.at(-1) : whole;
}

/** The last short stage direction of a text; "" where there is none. */
export function lastDirection(text) {
  const found = [...text.matchAll(PARTS)]
    .map(([, , ...directions]) => directions.find((part) => part !== undefined))
    .filter((part) => part && part.length <= 40);
  return found.at(-1)?.replace(/[。.]$/, "") ?? "";
}
