"""The binary frames of Qiniu's recognition over a WebSocket, big endian.

A frame is four bytes of header (version and header size in words, kind and flags,
serialisation and compression, one reserved), a sequence number where the flags say so, for an
error its code, then the size of the payload and the payload. The layout is that of Volcano
Engine's speech services. https://developer.qiniu.com/aitokenapi/12981/asr-tts-ocr-api
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

_VERSION = 1
_HEADER_WORDS = 1
_SEQUENCE, _LAST = 0b0001, 0b0010
_JSON, _GZIP = 0b0001, 0b0001
_LARGEST_PAYLOAD = 8 * 2**20  # unpacked: a frame from outside may be a bomb
_WINDOW_GZIP = 31


class Kind(IntEnum):
    """What a frame is."""

    CONFIG = 1
    AUDIO = 2
    RESULT = 9
    ACK = 11
    ERROR = 15


class FrameError(ValueError):
    """Bytes that are no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        kind: What it is.
        payload: Unpacked.
        sequence: Its number from 1 on, negative in the last one of a client; None where it
            has none.
        is_last: Nothing follows from this side.
        code: Of an error; 0 in all others.
    """

    kind: Kind
    payload: bytes = b""
    sequence: int | None = None
    is_last: bool = False
    code: int = 0


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, its payload packed with gzip."""
    flags = (_SEQUENCE if frame.sequence is not None else 0) | (_LAST if frame.is_last else 0)
    payload = gzip.compress(frame.payload, compresslevel=1, mtime=0)
    parts = [
        bytes(
            (_VERSION << 4 | _HEADER_WORDS, frame.kind << 4 | flags, _JSON << 4 | _GZIP, 0),
        )
    ]
    if frame.sequence is not None:
        parts.append(struct.pack(">i", frame.sequence))
    if frame.kind is Kind.ERROR:
        parts.append(struct.pack(">I", frame.code))
    return b"".join((*parts, struct.pack(">I", len(payload)), payload))


def decode(data: bytes) -> Frame:
    """Read a frame of either side, packed or not.

    An acknowledgement always has a sequence number, and may end after it.

    Raises:
        FrameError: It is cut short, of no known kind, or its payload does not unpack.
    """
    try:
        words, kind, flags, packing = data[0] & 15, Kind(data[1] >> 4), data[1] & 15, data[2] & 15
        position, sequence, code = words * 4, None, 0
        if flags & _SEQUENCE or kind is Kind.ACK:
            (sequence,) = struct.unpack_from(">i", data, position)
            position += 4
        if kind is Kind.ERROR:
            (code,) = struct.unpack_from(">I", data, position)
            position += 4
        if kind is Kind.ACK and position == len(data):
            return Frame(kind, sequence=sequence, is_last=bool(flags & _LAST))
        (size,) = struct.unpack_from(">I", data, position)
    except (IndexError, ValueError, struct.error) as error:
        raise FrameError(f"no frame: {error}") from error
    payload = data[position + 4 :]
    if len(payload) != size or words < _HEADER_WORDS:
        raise FrameError(f"a payload of {len(payload)} bytes where {size} are declared")
    if packing == _GZIP and payload:
        payload = _unpacked(payload)
    return Frame(kind, payload, sequence, bool(flags & _LAST), code)


def _unpacked(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj(_WINDOW_GZIP)
    try:
        unpacked = unpacker.decompress(payload, _LARGEST_PAYLOAD)
    except zlib.error as error:
        raise FrameError(f"a payload that is not gzip: {error}") from error
    if not unpacker.eof:
        raise FrameError("a payload that is cut short or too large")
    return unpacked
