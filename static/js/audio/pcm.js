// PCM16 little endian mono at 24 kHz, the format of a call, as base64 and as samples.

/** Samples a second, both ways. */
export const RATE = 24_000;

/** Milliseconds of so many samples. */
export function milliseconds(samples) {
  return (samples * 1000) / RATE;
}

/** @param {Int16Array} samples @returns {string} base64 */
export function encode(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** @param {string} base64 @returns {Float32Array} -1..1; an odd byte at the end is left out */
export function decode(base64) {
  const text = atob(base64);
  const samples = new Float32Array(text.length >> 1);
  for (let i = 0; i < samples.length; i++) {
    const word = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 8);
    samples[i] = (word >= 0x8000 ? word - 0x10000 : word) / 0x8000;
  }
  return samples;
}
