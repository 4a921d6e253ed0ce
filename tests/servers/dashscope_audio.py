"""One continuous stream of audio in the formats of CosyVoice, piece by piece."""

import io
import struct
from typing import Any, Protocol

import av
import lameenc
import numpy as np

from tests.servers import voiced

RATES = {
    "pcm": (8_000, 16_000, 22_050, 24_000, 44_100, 48_000),
    "wav": (8_000, 16_000, 22_050, 24_000, 44_100, 48_000),
    "mp3": (8_000, 16_000, 22_050, 24_000, 44_100, 48_000),
    "opus": (8_000, 16_000, 24_000, 48_000),
}
MEDIA_TYPES = {"pcm": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg"}


class Stream(Protocol):
    """Audio of a whole task: the head comes once, with the first piece."""

    def encode(self, pcm: bytes) -> bytes:
        """What of the stream is ready after ``pcm``; may be empty."""
        ...

    def finish(self) -> bytes:
        """The rest."""
        ...


class Pcm:
    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class Wav:
    """A file whose sizes were not known when its head was sent."""

    def __init__(self, sample_rate: int) -> None:
        unknown = 0xFFFFFFFF
        self._head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1,
                                 sample_rate, sample_rate * 2, 2, 16, b"data", unknown)  # fmt: skip

    def encode(self, pcm: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + pcm

    def finish(self) -> bytes:
        return self.encode(b"")


class Mp3:
    def __init__(self, sample_rate: int) -> None:
        self._encoder = lameenc.Encoder()
        self._encoder.silence()
        self._encoder.set_channels(1)
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_out_sample_rate(sample_rate)
        self._encoder.set_bit_rate(64)
        self._encoder.set_quality(7)
        self._used = False

    def encode(self, pcm: bytes) -> bytes:
        self._used = self._used or bool(pcm)
        return bytes(self._encoder.encode(pcm)) if pcm else b""

    def finish(self) -> bytes:
        return bytes(self._encoder.flush()) if self._used else b""


class OggOpus:
    """Opus in Ogg; a page ends after 100 ms, so that the first audio is not held back."""

    def __init__(self, sample_rate: int, kbps: int) -> None:
        self._file = io.BytesIO()
        self._rate = sample_rate
        self._sent = 0
        options = {"page_duration": "100000", "flush_packets": "1"}
        self._container: Any = av.open(self._file, "w", format="ogg", options=options)
        self._track = self._container.add_stream("libopus", rate=sample_rate, layout="mono")
        self._track.bit_rate = kbps * 1_000

    def encode(self, pcm: bytes) -> bytes:
        if pcm:
            samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = self._rate
            self._container.mux(self._track.encode(frame))
        return self._new()

    def finish(self) -> bytes:
        self._container.mux(self._track.encode(None))
        self._container.close()
        return self._new()

    def _new(self) -> bytes:
        data = self._file.getvalue()[self._sent :]
        self._sent += len(data)
        return data


def stream(audio_format: str, sample_rate: int, kbps: int = 32) -> Stream:
    """A stream of one of the `RATES`.

    Args:
        audio_format: pcm, wav, mp3 or opus (Ogg).
        sample_rate: Hz of the PCM16 mono that will be fed.
        kbps: Of Opus.

    Raises:
        ValueError: There is no such format, or not at this rate.
    """
    if sample_rate not in RATES.get(audio_format, ()):
        raise ValueError(f"no {audio_format} at {sample_rate} Hz")
    if audio_format == "opus":
        return OggOpus(sample_rate, kbps)
    if audio_format == "pcm":
        return Pcm()
    return Wav(sample_rate) if audio_format == "wav" else Mp3(sample_rate)


def facts(data: bytes) -> tuple[float, bool]:
    """Seconds of an audio file of any usual format, and whether there is any sound in it.

    Raises:
        ValueError: It is none.
    """
    if data[:4] == b"RIFF":
        return voiced.wav_facts(data)
    try:
        with av.open(io.BytesIO(data)) as container:
            frames = list(container.decode(audio=0))
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(str(error)) from error
    if not frames:
        raise ValueError("no audio")
    seconds = sum(frame.samples for frame in frames) / frames[0].sample_rate
    peak = max(float(np.abs(frame.to_ndarray().astype(np.float64)).max()) for frame in frames)
    full = 1.0 if frames[0].format.name.startswith("flt") else 32_768.0
    return seconds, peak / full > 0.001
