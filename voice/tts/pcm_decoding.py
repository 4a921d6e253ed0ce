"""What synthesis servers send, in pieces cut anywhere, as whole samples of PCM16 mono."""

import io
import struct
from typing import Protocol

from voice.audio.codecs import AudioError, Mp3Decoder
from voice.audio.resample import Resampler
from voice.audio.sniff import FLAC, MP3, OGG, WAV, sniff

_UNKNOWN = 0xFFFFFFFF  # the size of a stream; some servers write 0 instead
_SEARCH_LIMIT = 65_536  # bytes before the samples, notes of the maker included
_HEAD = 12  # bytes that tell a wav file, a tag or a frame of mp3
_SURE = 2_048  # bytes in which more than one frame of mp3 follows another, if it is mp3


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


class AnyDecoder:
    """Whatever a server sends, told by its first bytes: wav, mp3, or raw PCM16 mono.

    Labels are not believed; several servers send another format than they were asked for.

    Args:
        sample_rate: Hz wanted.
        raw_rate: Hz of raw PCM, where that was asked for; 0 where it was not, so that bytes
            of no known format are an error.
    """

    def __init__(self, sample_rate: int, raw_rate: int) -> None:
        self._sample_rate = sample_rate
        self._raw_rate = raw_rate
        self._head = b""
        self._decoder: PieceDecoder | None = None

    def feed(self, data: bytes) -> bytes:
        """See `PieceDecoder`. A text in place of audio is quoted in the error."""
        if self._decoder is None:
            self._head += data
            if not self._is_clear():
                return b""
            data, self._decoder = self._head, self._chosen()
        return self._decoder.feed(data)

    def finish(self) -> bytes:
        if self._decoder is not None:
            return self._decoder.finish()
        if not self._head and self._raw_rate:
            return b""
        self._decoder = self._chosen()
        return self._decoder.feed(self._head) + self._decoder.finish()

    def _is_clear(self) -> bool:
        """Whether more bytes would tell no more."""
        head = self._head
        if len(head) < _HEAD:
            return False
        if len(head) >= _SURE or head[:4] in (b"RIFF", b"OggS", b"fLaC") or head[:3] == b"ID3":
            return True
        # A loud sample looks like the start of a frame; what is no audio may yet become mp3;
        # and a text is quoted whole.
        looks_like_mp3 = head[0] == 0xFF and head[1] & 0xE0 == 0xE0
        return bool(self._raw_rate) and not looks_like_mp3 and not _is_text(head)

    def _chosen(self) -> PieceDecoder:
        head = self._head
        kind, _ = sniff(io.BytesIO(head))
        if kind is WAV:
            return WavDecoder(self._sample_rate)
        if kind is MP3 or head[:3] == b"ID3":
            return Mp3Decoder(self._sample_rate)
        # Samples may by chance begin like the weaker marks of other formats.
        if kind in (OGG, FLAC) or (kind and not self._raw_rate):
            raise AudioError(f"{kind.container}, which was not asked for", "unsupported")
        if _is_text(head):
            raise AudioError(f"a text: {head[:200].decode(errors='replace')}", "not_audio")
        if not self._raw_rate:
            raise AudioError("neither wav nor mp3", "not_audio")
        return _RawDecoder(self._raw_rate, self._sample_rate)


class _RawDecoder:
    """Raw PCM16 of one rate at another."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._samples = PcmDecoder()
        self._resampler = Resampler(rate, wanted)

    def feed(self, data: bytes) -> bytes:
        return self._resampler.feed(self._samples.feed(data))

    def finish(self) -> bytes:
        return self._resampler.flush()


def _is_text(head: bytes) -> bool:
    """Whether this is a message and no samples: those have bytes that nobody prints."""
    if len(head) < _HEAD:
        return False
    text = head.decode(errors="ignore")  # a character may be cut at the end
    return len(text.encode()) >= len(head) - 3 and all(
        letter.isprintable() or letter in "\r\n\t" for letter in text
    )


def _read_head(head: bytes) -> tuple[int, int, int] | None:
    """Where the samples start, their rate in Hz, their bytes; None until that can be told."""
    if len(head) < 12:
        return None
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
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
    if len(head) > _SEARCH_LIMIT:
        raise AudioError("a wav file without samples", "broken")
    return None
