"""What synthesis servers send, in pieces cut anywhere, as whole samples of PCM16 mono."""

import struct
from typing import Protocol

from voice.audio.codecs import AudioError
from voice.audio.resample import Resampler

_UNKNOWN = 0xFFFFFFFF  # the size of a stream; some servers write 0 instead
_SEARCH_LIMIT = 65_536  # bytes before the samples, notes of the maker included


class PieceDecoder(Protocol):
    """One stream; an ``AudioError`` says that it is not what it should be."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class PcmDecoder:
    """Raw PCM16: pieces only have to end with a sample."""

    def __init__(self) -> None:
        self._odd = b""

    def feed(self, data: bytes) -> bytes:
        data = self._odd + data if self._odd else data
        even = len(data) & ~1
        self._odd = data[even:]
        return data[:even] if self._odd else data

    def finish(self) -> bytes:
        return b""  # half a sample is no sound


class WavDecoder:
    """PCM16 mono in a wav file whose sizes may be unknown, at any rate.

    Args:
        sample_rate: Hz wanted.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._head = b""
        self._samples = PcmDecoder()
        self._resampler: Resampler | None = None
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        if self._resampler is None:
            self._head += data
            found = _read_head(self._head)
            if found is None:
                return b""
            start, rate, self._left = found
            self._resampler = Resampler(rate, self._sample_rate)
            data, self._head = self._head[start:], b""
        data = data[: self._left]  # notes may follow the samples
        self._left -= len(data)
        return self._resampler.feed(self._samples.feed(data))

    def finish(self) -> bytes:
        if self._resampler is None:
            raise AudioError("the stream ended before its first sample", "broken")
        return self._resampler.flush()


def _read_head(head: bytes) -> tuple[int, int, int] | None:
    """Where the samples start, their rate in Hz, their bytes; None until that can be told."""
    if len(head) < 12:
        return None
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or len(head) > _SEARCH_LIMIT:
        raise AudioError("not a wav file", "broken")
    position, rate = 12, 0
    while len(head) >= position + 8:
        name, size = struct.unpack_from("<4sI", head, position)
        position += 8
        if name == b"data" and rate:
            return position, rate, size or _UNKNOWN
        if name == b"fmt ":
            if len(head) < position + 16:
                return None
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, position)
            if (kind, channels, bits) != (1, 1, 16) or not rate:
                raise AudioError("not PCM16 mono", "broken")
        position += size + size % 2
    return None
