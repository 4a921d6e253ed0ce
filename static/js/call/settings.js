// What the page asks of a session.

const PCM = { type: "audio/pcm", rate: 24_000 };
// A pause after a whole sentence is short, one after "and then…" long: nobody is cut off
// while thinking, and nobody waits for an answer who has finished.
const BY_VOICE = {
  type: "semantic_vad",
  eagerness: "auto",
  create_response: true,
  interrupt_response: true,
};

/** Settings of a new line. @param {"zh"|"en"} language @param {boolean} byHand */
export function settings(language, byHand) {
  const input = {
    format: PCM,
    transcription: { model: "whisper-1", language },
    turn_detection: byHand ? null : BY_VOICE,
  };
  return update({ output_modalities: ["audio"], audio: { input, output: { format: PCM } } });
}

/** Whether the silence or a button ends what the user says. */
export function turns(byHand) {
  return update({ audio: { input: { turn_detection: byHand ? null : BY_VOICE } } });
}

/** Changes nothing, and is answered all the same. */
export function nothing() {
  return update({});
}

function update(session) {
  return { type: "session.update", session: { type: "realtime", ...session } };
}
