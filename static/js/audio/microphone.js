// The microphone: asking for it, saying honestly why not, and how loud it is.

import { t } from "../i18n.js";

/** Why there is no microphone; the message says what to do. */
export class MicrophoneError extends Error {}

/**
 * Opens the microphone with echo cancellation; the browser asks the user.
 * @param {string} device its id, "" for the system's choice; another one where it is gone
 * @returns {Promise<MediaStream>}
 * @throws {MicrophoneError}
 */
export async function openMicrophone(device = "") {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError(t("mic.insecure"));
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        channelCount: 1,
        ...(device && { deviceId: { ideal: device } }),
      },
    });
  } catch (error) {
    const reason = { NotAllowedError: "denied", NotFoundError: "none", NotReadableError: "busy" }[
      error.name
    ];
    throw new MicrophoneError(t(`mic.${reason ?? "failed"}`, { reason: error.message }));
  }
}

/** Lets the microphone go, so that the browser's sign goes out. */
export function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * Follows the loudness of a stream, once a frame of the screen.
 * @param {AudioContext} context
 * @param {MediaStream} stream
 * @param {(level: number) => void} onlevel 0 (-60 dBFS and less) to 1 (-10 dBFS and more)
 * @returns {() => void} stops
 */
export function watchLevel(context, stream, onlevel) {
  const source = context.createMediaStreamSource(stream);
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let frame = 0;
  const look = () => {
    analyser.getFloatTimeDomainData(samples);
    onlevel(loudness(samples));
    frame = requestAnimationFrame(look);
  };
  look();
  return () => {
    cancelAnimationFrame(frame);
    source.disconnect();
  };
}

/** RMS of samples, of which `full` is the loudest, as 0..1 over the range of speech. */
export function loudness(samples, full = 1) {
  let sum = 0;
  for (const sample of samples) sum += (sample / full) ** 2;
  return decibelLevel(10 * Math.log10(sum / samples.length + 1e-10));
}

/** A level in dBFS as 0 (-60 and less) to 1 (-10 and more). */
export function decibelLevel(decibels) {
  return Math.min(1, Math.max(0, (decibels + 60) / 50));
}
