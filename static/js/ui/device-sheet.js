// Choosing the microphone and the loudspeaker of a call.

import { choose, chosen, devices, onDevices } from "../audio/devices.js";
import { Loudspeaker } from "../audio/loudspeaker.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { sheet, toast } from "./feedback.js";
import { field } from "./field.js";

let open = false;

/**
 * @param {{onmicrophone: (id: string) => Promise<void>, onloudspeaker: (id: string) =>
 *   Promise<void>}} handlers each may throw: then the system's choice is taken again
 */
export async function deviceSheet({ onmicrophone, onloudspeaker }) {
  if (open) return; // pressed twice
  open = true;
  const parts = await choices(onmicrophone, onloudspeaker).catch(() => []);
  const dialog = sheet(
    t("device.title"),
    parts.map(({ element }) => element),
    { class: "sheet-small" },
  );
  const stop = onDevices(() => parts.forEach(({ list }) => list()));
  dialog.addEventListener("close", () => {
    open = false;
    stop();
  });
}

async function choices(onmicrophone, onloudspeaker) {
  const parts = [await choice("audioinput", "device.microphone", onmicrophone)];
  if (Loudspeaker.selectable)
    parts.push(await choice("audiooutput", "device.loudspeaker", onloudspeaker));
  return parts;
}

async function choice(kind, label, use) {
  const select = h("select", {
    class: kind,
    onchange: async () => {
      try {
        await use(select.value);
      } catch {
        toast(t("device.failed"), "error");
        choose(kind, "");
        select.value = "";
        await use("").catch(() => {}); // there may be none at all: the call says so
      }
    },
  });
  const list = async () => {
    const found = await devices(kind);
    const system = h("option", { value: "" }, t("device.system"));
    const others = found.map(({ id, name }, i) =>
      h("option", { value: id }, name || t("device.nameless", { number: i + 1 })),
    );
    fill(select, system, others);
    select.value = found.some(({ id }) => id === chosen(kind)) ? chosen(kind) : "";
  };
  await list();
  return { element: field(t(label), select).element, list };
}
