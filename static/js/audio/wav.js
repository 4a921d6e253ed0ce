// Samples as a wav file: 16 kHz, mono, 16 bit, which is what recognisers want.

const RATE = 16_000;

/**
 * @param {Float32Array} samples mono, -1..1
 * @param {number} rate of `samples`, in Hz
 * @returns {Promise<Blob>}
 */
export async function wavOf(samples, rate) {
  const pcm = await resample(samples, rate);
  const view = new DataView(new ArrayBuffer(44 + pcm.length * 2));
  const word = (at, text) =>
    [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, pcm.length * 2, true);
  pcm.forEach((sample, i) => {
    view.setInt16(44 + i * 2, Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), true);
  });
  return new Blob([view], { type: "audio/wav" });
}

/** The browser's own resampler, which filters before it decimates. */
async function resample(samples, rate) {
  if (rate === RATE) return samples;
  const offline = new OfflineAudioContext(1, Math.ceil((samples.length * RATE) / rate), RATE);
  const buffer = offline.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = offline.createBufferSource();
  source.buffer = buffer;
  source.connect(offline.destination);
  source.start();
  return (await offline.startRendering()).getChannelData(0);
}
