"""A reply's speech in the format that a client wants."""

from realtime.audio_formats import OutputFormat
from voice.audio.encoders import FORMATS, SAMPLE_RATE, Encoder
from voice.audio.g711 import encode_alaw, encode_ulaw
from voice.audio.polyphase import Polyphase

_G711_RATE = 8_000


class OutputEncoder:
    """The speech of one response: all pieces, joined, are one stream.

    PCM and G.711 come without a header, any piece of them can be played by itself. The
    other formats hold back some ms until ``finish``.

    Args:
        fmt: Wanted.
    """

    def __init__(self, fmt: OutputFormat) -> None:
        self._encoder = _encoder(fmt)

    def encode(self, pcm: bytes) -> bytes:
        """What is ready so far, maybe nothing.

        Args:
            pcm: PCM16 mono at 24 000 Hz, of any even length.

        Raises:
            ValueError: ``pcm`` ends within a sample.
        """
        if len(pcm) % 2:
            raise ValueError("PCM16 ends within a sample")
        return self._encoder.encode(pcm)

    def finish(self) -> bytes:
        """The rest. The encoder is done with afterwards."""
        return self._encoder.finish()


def _encoder(fmt: OutputFormat) -> Encoder:
    if fmt in ("g711_ulaw", "g711_alaw"):
        return _G711Encoder(alaw=fmt == "g711_alaw")
    return FORMATS["pcm" if fmt == "pcm16" else fmt].encoder()


class _G711Encoder:
    def __init__(self, *, alaw: bool) -> None:
        self._resampler = Polyphase(SAMPLE_RATE, _G711_RATE)
        self._encode = encode_alaw if alaw else encode_ulaw

    def encode(self, pcm: bytes) -> bytes:
        return self._encode(self._resampler.feed(pcm))

    def finish(self) -> bytes:
        return self._encode(self._resampler.flush())
