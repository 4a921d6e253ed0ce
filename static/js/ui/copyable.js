// A text to be taken elsewhere: shown in a field, copied by a button.

import { announce, h, iconButton, relabel, setIcon } from "../dom.js";
import { t } from "../i18n.js";

const SHOWN = 2500; // ms

/**
 * @param {string} label what the text is, for those who cannot see
 * @param {string} text
 * @returns {HTMLElement}
 */
export function copyable(label, text) {
  const input = h("input", {
    type: "text",
    class: "copy-text",
    value: text,
    readOnly: true,
    spellcheck: false,
    "aria-label": label,
    onfocus: () => input.select(),
  });
  const button = iconButton("copy", t("copy"), {
    onclick: async () => {
      if (!(await copied(input))) return input.select();
      setIcon(button, "check");
      relabel(button, t("copied"));
      announce(t("copied"));
      setTimeout(() => {
        setIcon(button, "copy");
        relabel(button, t("copy"));
      }, SHOWN);
      return undefined;
    },
  });
  return h("div", { class: "copy" }, input, button);
}

/** The clipboard belongs to secure origins alone; elsewhere the old way may still do. */
async function copied(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.select();
    return document.execCommand("copy");
  }
}
