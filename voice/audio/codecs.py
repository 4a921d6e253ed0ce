"""PCM16 mono to and from what goes over the wire: MP3 pieces and WAV.

Uploads are decoded in :mod:`voice.audio.decode`, whose names are offered here as well.
"""

import struct
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import av
import lameenc
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

from voice.audio.decode import AudioError, AudioFault, DecodedClip, Mono, decode_clip
from voice.audio.sniff import id3_length

__all__ = [
    "AudioError",
    "AudioFault",
    "DecodedClip",
    "Mp3Decoder",
    "Mp3Encoder",
    "decode_clip",
    "decode_mp3_stream",
    "wav_bytes",
    "wav_header",
]

_STREAMING_SIZE = 0xFFFFFFFF  # what players take for "until the end"


class Mp3Encoder:
    """PCM16 mono to MP3, piece by piece.

    All pieces of one encoder, joined, are one MP3 stream. Not for use by two threads at
    once. 64 kbit/s is transparent enough for one voice at 24 kHz; a piece costs about
    1 ms of CPU a second of audio.

    Args:
        sample_rate: Hz of the PCM: one of the rates of MP3 (8 000 to 48 000).
        bit_rate: kbit/s, constant.
    """

    def __init__(self, sample_rate: int = 24_000, *, bit_rate: int = 64) -> None:
        self._encoder = lameenc.Encoder()
        self._encoder.silence()
        self._encoder.set_channels(1)
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_out_sample_rate(sample_rate)
        self._encoder.set_bit_rate(bit_rate)
        self._encoder.set_quality(5)
        self._used = False

    def encode(self, pcm: bytes) -> bytes:
        """Whole frames ready so far; may be empty, the encoder holds back some 50 ms.

        Raises:
            ValueError: ``pcm`` ends within a sample.
        """
        if len(pcm) % 2:
            raise ValueError("PCM16 ends within a sample")
        if not pcm:
            return b""
        self._used = True
        return bytes(self._encoder.encode(pcm))

    def finish(self) -> bytes:
        """The last frames. The encoder is done with afterwards."""
        return bytes(self._encoder.flush()) if self._used else b""


class Mp3Decoder:
    """MP3 to PCM16 mono, piece by piece, for providers that send nothing else.

    Args:
        sample_rate: Hz wanted.
    """

    def __init__(self, sample_rate: int = 24_000) -> None:
        self._codec = cast(AudioCodecContext, AudioCodecContext.create("mp3float", "r"))
        self._mono = Mono(sample_rate)
        self._head = b""  # until it is known whether a tag comes first
        self._skip = 0
        self._started = False
        self._decoded = False

    def feed(self, data: bytes) -> bytes:
        """What can be decoded so far; pieces may be cut anywhere."""
        if not self._started:
            self._head += data
            if len(self._head) < 10:
                return b""
            data, self._head, self._started = self._head, b"", True
            self._skip = id3_length(data)
        if self._skip:
            data, self._skip = data[self._skip :], max(0, self._skip - len(data))
        return self._decode(self._codec.parse(data)) if data else b""

    def finish(self) -> bytes:
        """The rest.

        Raises:
            AudioError: Bytes came, but no frame of audio in them (``broken``).
        """
        pcm = self._decode([*self._codec.parse(self._head), *self._codec.parse(), None])
        pcm += b"".join(self._mono.flush())
        if not self._decoded:
            raise AudioError("no MP3 frame in the stream", "broken")
        return pcm

    def _decode(self, packets: "Iterable[Packet[Any] | None]") -> bytes:
        pcm = bytearray()
        for packet in packets:
            try:
                frames = self._codec.decode(packet)
            except av.InvalidDataError:
                continue  # the frame at a seam; a stream without any good one fails in finish()
            except av.EOFError:
                break
            for frame in frames:
                self._decoded = True
                for block in self._mono.feed(frame):
                    pcm += block
        return bytes(pcm)


async def decode_mp3_stream(
    mp3: AsyncIterable[bytes], *, sample_rate: int = 24_000
) -> AsyncIterator[bytes]:
    """Decode MP3 while it arrives.

    Args:
        mp3: Pieces of one MP3 stream, cut anywhere.
        sample_rate: Hz wanted.

    Yields:
        PCM16 mono; nothing for an empty stream.

    Raises:
        AudioError: The stream holds no MP3 frame.
    """
    decoder, any_input = Mp3Decoder(sample_rate), False
    async for piece in mp3:
        any_input = any_input or bool(piece)
        if pcm := decoder.feed(piece):
            yield pcm
    if any_input and (pcm := decoder.finish()):
        yield pcm


def wav_header(sample_rate: int, size: int | None = None) -> bytes:
    """The 44 bytes in front of PCM16 mono.

    Args:
        sample_rate: Hz.
        size: Bytes of PCM that follow; None for a stream of unknown length.
    """
    data = _STREAMING_SIZE if size is None else size
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _STREAMING_SIZE if size is None else 36 + size, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16),
        *(b"data", data),
    )


def wav_bytes(pcm: bytes, sample_rate: int) -> bytes:
    """A WAV file of PCM16 mono."""
    return wav_header(sample_rate, len(pcm)) + pcm
