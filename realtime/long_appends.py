"""Minutes of audio in one event, which would hold up every other session of the loop."""

import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from realtime.input_audio import Piece

# Base64 of some 8 s at 24 000 Hz, which is taken in a few ms; and of all that one event may hold.
_PIECE, _MOST = 2**19, 20 * 2**20


def in_pieces(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The event itself; of minutes of audio at once, events that the loop can take singly."""
    audio = event.get("audio")
    if (
        event.get("type") != "input_audio_buffer.append"
        or not isinstance(audio, str)
        or not _PIECE < len(audio) <= _MOST
    ):
        yield event
        return
    try:
        behind = len(binascii.a2b_base64(audio, strict_mode=True))
    except ValueError:
        yield event  # to be refused as a whole
        return
    for at in range(0, len(audio), _PIECE):
        piece = audio[at : at + _PIECE]
        behind = max(0, behind - len(piece) // 4 * 3)  # the last one is padded
        yield {**event, "audio": Piece(piece, behind, continues=at > 0)}
