"""The audio that a client appends: decoded, timed and kept until it is committed."""

import binascii
from dataclasses import dataclass

from realtime.audio_formats import InputFormat
from realtime.errors import ProtocolError, invalid
from voice.audio.g711 import decode_alaw, decode_ulaw
from voice.audio.polyphase import Polyphase

HEARD_RATE = 16_000  # Hz of all that comes out of here
LARGEST_APPEND = 15 * 1024 * 1024  # bytes, decoded
LONGEST_MS = 10 * 60_000
SHORTEST_COMMIT_MS = 100

_PER_MS = HEARD_RATE // 1_000 * 2  # bytes of PCM16
_TICKS = 24  # a ms: what the samples of both rates can be counted in


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an append that is taken in several.

    Attributes:
        audio: Base64.
        behind: Bytes of the append that are still to come.
        continues: It is not the first.
    """

    audio: str
    behind: int
    continues: bool


class InputAudio:
    """One session's input. Times are ms of all audio that was ever appended.

    Attributes:
        rolling: With turn detection: where there is too much the oldest goes without a word.
            Without it, an append that does not fit is refused once.
    """

    def __init__(self) -> None:
        self.rolling = True
        self._decoder: _Decoder | None = None
        self._ticks = 0
        self._pcm = bytearray()
        self._pcm_begins = 0  # bytes that came before those of _pcm
        self._begins_ms = 0.0  # of what is not committed
        self._refused = False  # the last append
        self._told_full = False

    @property
    def now_ms(self) -> int:
        """The length of all audio ever appended, by its own samples."""
        return self._ticks // _TICKS

    @property
    def buffered_ms(self) -> float:
        """The length of what is neither committed nor cleared."""
        return max(0.0, self._ticks / _TICKS - self._begins_ms)

    @property
    def begins_ms(self) -> int:
        """Where what is neither committed nor cleared begins."""
        return int(self._begins_ms)

    def append(self, audio: object, fmt: InputFormat) -> bytes:
        """Take what a client appends.

        Args:
            audio: Base64 (the standard alphabet, padded, no spaces), as it came; or a
                `Piece` of it: all of an append is taken, or none.
            fmt: Of the audio.

        Returns:
            What is new, as PCM16 mono at 16 000 Hz. It lags behind by the 1 or 2 ms that
            resampling takes; empty where the buffer is full.

        Raises:
            ProtocolError: ``invalid_value`` or ``missing_required_parameter`` (param
                ``audio``); ``input_audio_buffer_full``, once until it is committed or
                cleared.
        """
        piece = audio if isinstance(audio, Piece) else None
        if piece is not None and piece.continues and self._refused:
            return b""
        data = decode_base64(piece.audio if piece else audio, "audio")
        decoder = self._decoder_of(fmt)
        behind = piece.behind if piece and not self.rolling else 0
        buffered = 0.0 if self.rolling else self.buffered_ms
        self._refused = buffered + decoder.ticks(len(data) + behind) / _TICKS > LONGEST_MS
        if self._refused:
            return self._refuse()
        self._ticks += decoder.ticks(len(data))
        pcm = decoder.feed(data)
        self._keep(pcm)
        return pcm

    def take(self, start_ms: float, end_ms: float) -> bytes:
        """The audio between two times, as far as it is still kept; PCM16 mono at 16 000 Hz."""
        first = max(0, int(start_ms) * _PER_MS - self._pcm_begins)
        last = max(first, int(end_ms) * _PER_MS - self._pcm_begins)
        return bytes(self._pcm[first:last])

    def commit(self) -> bytes:
        """All that is buffered; afterwards nothing is.

        Raises:
            ProtocolError: ``input_audio_buffer_commit_empty``: there are less than 100 ms.
        """
        self.check_commit()
        pcm = self.take(self._begins_ms, self.now_ms + 1)
        self.discard(self.now_ms)
        return pcm

    def check_commit(self) -> None:
        """Whether there is enough to commit.

        Raises:
            ProtocolError: ``input_audio_buffer_commit_empty``.
        """
        if self.buffered_ms < SHORTEST_COMMIT_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least"
                f" {SHORTEST_COMMIT_MS}ms of audio, but buffer only has"
                f" {self.buffered_ms:.2f}ms of audio.",
            )

    def discard(self, until_ms: float) -> None:
        """What came before is not buffered any more: it was committed, or nobody wants it."""
        self._begins_ms = max(self._begins_ms, min(until_ms, self._ticks / _TICKS))
        self._told_full = False
        self._drop(int(self._begins_ms) * _PER_MS)

    def clear(self) -> None:
        """Nothing is buffered any more, half a sample included; the clock goes on."""
        if self._decoder is not None:
            self._decoder.forget_odd_byte()
        self.discard(self._ticks / _TICKS)

    def _refuse(self) -> bytes:
        if self._told_full:
            return b""
        self._told_full = True
        raise ProtocolError(
            "input_audio_buffer_full",
            f"The input audio buffer holds at most {LONGEST_MS // 60_000} minutes of audio."
            " Commit or clear it.",
            param="audio",
        )

    def _decoder_of(self, fmt: InputFormat) -> "_Decoder":
        if self._decoder is None or self._decoder.fmt != fmt:
            if self._decoder is not None:
                self._keep(self._decoder.finish())
            self._decoder = _Decoder(fmt)
        return self._decoder

    def _keep(self, pcm: bytes) -> None:
        self._pcm += pcm
        if self.rolling:
            self._drop(self._pcm_begins + len(self._pcm) - LONGEST_MS * _PER_MS)
            self._begins_ms = max(self._begins_ms, self._pcm_begins / _PER_MS)

    def _drop(self, until: int) -> None:
        """Forget all bytes before; the beginning of a bytearray goes at no cost."""
        count = min(len(self._pcm), until - self._pcm_begins)
        if count > 0:
            del self._pcm[:count]
            self._pcm_begins += count


def decode_base64(audio: object, param: str) -> bytes:
    """Audio as it came in an event.

    Raises:
        ProtocolError: It is not there, no base64, or too long.
    """
    if audio is None:
        raise ProtocolError(
            "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param
        )
    if not isinstance(audio, str):
        raise invalid(param, "base64-encoded audio bytes")
    if len(audio) // 4 * 3 > LARGEST_APPEND:
        raise invalid(param, "at most 15 MiB of audio")
    try:
        # strict_mode lets too much padding pass.
        if len(audio) % 4 or audio.endswith("==="):
            raise ValueError(audio[-4:])
        return binascii.a2b_base64(audio, strict_mode=True)
    except ValueError:  # binascii.Error is one, and so is what is not ASCII
        raise invalid(param, "base64-encoded audio bytes") from None


def decode_clip(audio: object, fmt: InputFormat, param: str) -> bytes:
    """The whole audio of an ``input_audio`` part of an item.

    Args:
        audio: Base64, as it came.
        fmt: Of the session.
        param: Path of the field.

    Returns:
        PCM16 mono at 16 000 Hz.

    Raises:
        ProtocolError: As `decode_base64`; ``invalid_value`` too where there is none in it.
    """
    data = decode_base64(audio, param)
    decoder = _Decoder(fmt)
    if decoder.ticks(len(data)) > LONGEST_MS * _TICKS:
        raise invalid(param, f"at most {LONGEST_MS // 60_000} minutes of audio")
    pcm = decoder.feed(data) + decoder.finish()
    if not pcm:
        raise invalid(param, "audio that is not empty")
    return pcm


class _Decoder:
    """One format to PCM16 mono at 16 000 Hz, in pieces cut anywhere."""

    def __init__(self, fmt: InputFormat) -> None:
        self.fmt = fmt
        self._odd = b""
        self._resampler = Polyphase(24_000 if fmt == "pcm16" else 8_000, HEARD_RATE)

    def ticks(self, count: int) -> int:
        """How long so many bytes more are."""
        if self.fmt == "pcm16":
            return (len(self._odd) + count) // 2
        return count * 3

    def feed(self, data: bytes) -> bytes:
        match self.fmt:
            case "g711_ulaw":
                return self._resampler.feed(decode_ulaw(data))
            case "g711_alaw":
                return self._resampler.feed(decode_alaw(data))
        if self._odd:
            data = self._odd + data
        whole = len(data) & ~1
        self._odd = data[whole:]
        return self._resampler.feed(data[:whole] if self._odd else data)

    def forget_odd_byte(self) -> None:
        self._odd = b""

    def finish(self) -> bytes:
        return self._resampler.flush()
