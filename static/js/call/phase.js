// What a call is doing just now, in one word.

/**
 * @param {object} facts
 * @param {boolean} facts.begun the user has pressed "call"
 * @param {boolean} facts.over and has hung up
 * @param {boolean} facts.connected the server has taken our settings
 * @param {boolean} facts.lost it was connected before, and is not now
 * @param {boolean} facts.speaking the character is being heard
 * @param {boolean} facts.heard the user is speaking
 * @param {boolean} facts.awaited an answer is on its way
 * @param {boolean} facts.deaf there is no microphone, or the system has stilled it
 * @param {boolean} facts.muted
 * @param {boolean} facts.byHand the user speaks by holding a button
 * @returns {"ready"|"opening"|"lost"|"listening"|"thinking"|"speaking"|"deaf"|"held"|"muted"|
 *   "over"} "held": waits for the button to be held
 */
export function phaseOf(facts) {
  if (facts.over) return "over";
  if (!facts.begun) return "ready";
  if (!facts.connected) return facts.lost ? "lost" : "opening";
  if (facts.heard && !facts.deaf) return "listening";
  if (facts.speaking) return "speaking";
  if (facts.awaited) return "thinking";
  if (facts.deaf) return "deaf";
  if (facts.muted) return "muted";
  return facts.byHand ? "held" : "listening";
}
