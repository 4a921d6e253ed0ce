"""Minutes of audio in one event: in pieces, and yet all of it or nothing."""

import base64
from typing import Any

import pytest

from realtime.long_appends import in_pieces
from tests.realtime.simulator import World, setup

SECOND = 48_000  # bytes of PCM16


def append(seconds: float) -> dict[str, Any]:
    audio = base64.b64encode(bytes(int(seconds * SECOND) & ~1)).decode()
    return {"type": "input_audio_buffer.append", "audio": audio}


def send(world: World, event: dict[str, Any]) -> list[dict[str, Any]]:
    """As the driver does it: up to the first error."""
    for piece in in_pieces(event):
        if told := world.raw(piece):
            return told
    return []


def buffered(world: World) -> float:
    """Seconds that a commit finds."""
    world.client("input_audio_buffer.commit")
    return sum(len(turn.heard) for turn in world.turns.values()) / 32_000


@pytest.fixture
def full() -> World:
    """590 s are in the buffer; turns are taken by hand."""
    world = World(setup(session={"audio": {"input": {"turn_detection": None}}}))
    for _ in range(2):
        assert send(world, append(295)) == []
    return world


def test_the_pieces_are_the_whole() -> None:
    event = append(20.3)
    pieces = [piece["audio"] for piece in in_pieces(event)]
    assert "".join(piece.audio for piece in pieces) == event["audio"]
    assert [piece.continues for piece in pieces] == [False, True, True]
    sizes = [len(base64.b64decode(piece.audio)) for piece in pieces]
    assert [piece.behind for piece in pieces] == [sum(sizes[n + 1 :]) for n in range(3)]


def test_what_does_not_fit_as_a_whole_is_dropped_as_a_whole(full: World) -> None:
    told = send(full, append(12))
    assert [event["error"]["code"] for event in told] == ["input_audio_buffer_full"]
    assert buffered(full) == pytest.approx(590, abs=0.01)


def test_also_where_it_was_told_before(full: World) -> None:
    assert send(full, append(12))
    assert send(full, append(12)) == []  # once is enough; and its end alone would fit
    assert buffered(full) == pytest.approx(590, abs=0.01)


def test_what_fits_to_the_last_sample_is_taken(full: World) -> None:
    assert send(full, append(10)) == []
    assert buffered(full) == pytest.approx(600, abs=0.01)


def test_with_turn_detection_the_oldest_goes_without_a_word() -> None:
    world = World(setup(session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}}))
    hour = {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(15 * 2**20))}
    assert send(world, {**hour, "audio": hour["audio"].decode()}) == []
    assert buffered(world) == pytest.approx(600, abs=0.01)
