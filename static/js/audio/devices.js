// Which microphone and which loudspeaker: what there is, and what was chosen.

import { load, save } from "../store.js";

/**
 * The devices of a kind. Without the user's leave to use the microphone they have no names.
 * @param {"audioinput"|"audiooutput"} kind
 * @returns {Promise<{id: string, name: string}[]>}
 */
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all
    .filter((device) => device.kind === kind && device.deviceId)
    .filter(({ deviceId }) => deviceId !== "default" && deviceId !== "communications")
    .map(({ deviceId: id, label: name }) => ({ id, name }));
}

/** The id that was chosen for a kind; "" for the system's choice. */
export function chosen(kind) {
  return load(`device.${kind}`, "");
}

/** Keeps a choice for the calls to come. */
export function choose(kind, id) {
  save(`device.${kind}`, id || null);
}

/** Calls `listener` when a device comes or goes. @returns {() => void} stops */
export function onDevices(listener) {
  navigator.mediaDevices?.addEventListener("devicechange", listener);
  return () => navigator.mediaDevices?.removeEventListener("devicechange", listener);
}
