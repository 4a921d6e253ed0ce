// A phone's screen stays on while one talks.

/** Keeps the screen on, as far as the browser does. @returns {() => void} lets it go */
export function keepAwake() {
  let lock = null;
  let done = false;
  const ask = async () => {
    if (document.hidden || done || !navigator.wakeLock) return;
    lock = await navigator.wakeLock.request("screen").catch(() => null); // battery is low
    if (done) lock?.release();
  };
  document.addEventListener("visibilitychange", ask); // the browser lets it go in the background
  ask();
  return () => {
    done = true;
    document.removeEventListener("visibilitychange", ask);
    lock?.release();
  };
}
