// A button that works while it is held down, by finger, mouse or key. Who cannot hold it, as
// with a screen reader or a switch, clicks once to begin and once to end.

import { h, icon } from "../dom.js";

const KEYS = new Set([" ", "Enter"]);
const JUST = 500; // ms after it was let go in which a click belongs to that

/** @param {{label: string, class: string, onpress: () => void, onletgo: () => void}} options */
export function holdButton({ label, class: name, onpress, onletgo }) {
  let held = false;
  let released = -JUST;
  const press = () => {
    if (held) return;
    held = true;
    button.dataset.held = "";
    onpress();
  };
  const letGo = () => {
    if (!held) return;
    held = false;
    released = performance.now();
    delete button.dataset.held;
    onletgo();
  };
  const button = h(
    "button",
    {
      type: "button",
      class: `button ${name}`,
      onpointerdown: (event) => {
        button.setPointerCapture(event.pointerId);
        press();
      },
      onpointerup: letGo,
      onpointercancel: letGo,
      oncontextmenu: (event) => event.preventDefault(),
      onblur: letGo,
      onkeydown: (event) => {
        if (!KEYS.has(event.key)) return;
        event.preventDefault();
        if (!event.repeat) press();
      },
      onkeyup: (event) => {
        if (!KEYS.has(event.key)) return;
        event.preventDefault(); // or some browsers click as well
        letGo();
      },
      onclick: ({ detail }) => {
        if (detail > 0 || performance.now() - released < JUST) return;
        if (held) letGo();
        else press();
      },
    },
    icon("mic"),
    label,
  );
  return button;
}
