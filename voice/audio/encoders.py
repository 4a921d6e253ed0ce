"""PCM16 mono to the formats that a client can ask for, piece by piece."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from voice.audio.codecs import Mp3Encoder, wav_header

SAMPLE_RATE = 24_000


class Encoder(Protocol):
    """One stream: all that it gives, joined, is one file. Not for two threads at once."""

    def encode(self, pcm: bytes) -> bytes:
        """What is ready so far, maybe nothing. ``pcm`` ends with a sample."""
        ...

    def finish(self) -> bytes:
        """The rest. The encoder is done with afterwards."""
        ...


class PcmEncoder:
    """Hands the samples on, behind a header where there is one."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def encode(self, pcm: bytes) -> bytes:
        header, self._header = (self._header, b"") if pcm else (b"", self._header)
        return header + pcm

    def finish(self) -> bytes:
        return self._header


class _Sink(io.RawIOBase):
    """What a muxer has written and nobody has taken yet; there is no going back in it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(cast(bytes, data))
        self._written += piece
        return len(piece)

    def take(self) -> bytes:
        piece = bytes(self._written)
        self._written.clear()
        return piece


class AvEncoder:
    """One of FFmpeg's encoders in one of its containers, every packet handed on at once.

    Args:
        codec: FFmpeg's name of the encoder.
        container: Its name of the container.
        bit_rate: bit/s; 0 for a codec without loss.
        options: Of the codec.
        container_options: Of the container.
    """

    def __init__(
        self,
        codec: str,
        container: str,
        *,
        bit_rate: int = 0,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> None:
        self._sink = _Sink()
        self._output = av.open(
            self._sink,
            "w",
            format=container,
            container_options={"flush_packets": "1", **(container_options or {})},
        )
        stream = self._output.add_stream(codec, rate=SAMPLE_RATE, options=options or {})
        self._stream = cast(AudioStream, stream)
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.thread_count = 1
        if bit_rate:
            self._stream.codec_context.bit_rate = bit_rate
        self._stream.codec_context.open()
        # Cuts the samples to the codec's frames and writes them in its own form.
        self._framer = AudioResampler(
            self._stream.codec_context.format,
            "mono",
            SAMPLE_RATE,
            self._stream.codec_context.frame_size,
        )
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        """See `Encoder.encode`."""
        if pcm:
            frame = AudioFrame("s16", "mono", len(pcm) // 2)
            frame.planes[0].update(pcm)
            frame.sample_rate = SAMPLE_RATE
            frame.time_base = Fraction(1, SAMPLE_RATE)
            frame.pts = self._samples
            self._samples += len(pcm) // 2
            self._write(frame)
        return self._sink.take()

    def finish(self) -> bytes:
        """See `Encoder.finish`."""
        self._write(None)
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()

    def _write(self, frame: AudioFrame | None) -> None:
        for piece in self._framer.resample(frame):
            self._output.mux(self._stream.encode(piece))


@dataclass(frozen=True, slots=True)
class Format:
    """A format of speech as it goes over the wire, mono at 24 000 Hz.

    Attributes:
        mime: Its media type.
        encoder: Makes the encoder of one stream.
    """

    mime: str
    encoder: Callable[[], Encoder]


# By the name that clients use. Pages of Ogg and blocks of FLAC are short, so that the first
# audio does not wait for a second of it. A second of audio costs 1 to 3 ms of CPU.
FORMATS: dict[str, Format] = {
    "mp3": Format("audio/mpeg", lambda: Mp3Encoder(SAMPLE_RATE)),
    "opus": Format(
        "audio/ogg",
        lambda: AvEncoder(
            "libopus",
            "ogg",
            bit_rate=48_000,
            options={"frame_duration": "20", "compression_level": "5"},
            container_options={"page_duration": "40000"},
        ),
    ),
    "aac": Format(
        "audio/aac",
        lambda: AvEncoder("aac", "adts", bit_rate=64_000, options={"aac_coder": "fast"}),
    ),
    "flac": Format(
        "audio/flac", lambda: AvEncoder("flac", "flac", options={"compression_level": "2"})
    ),
    "wav": Format("audio/wav", lambda: PcmEncoder(wav_header(SAMPLE_RATE))),
    "pcm": Format("audio/pcm", PcmEncoder),
}
