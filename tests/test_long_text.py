"""Long text goes in pieces, and their audio comes in order."""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.tts.read_ahead import read_ahead
from voice.tts.splitting import split_text

texts = st.text(st.sampled_from("春江潮水连 ab3。！？，.,!?…\n”'　"), max_size=200)


@given(text=texts, limit=st.integers(1, 60), short_first=st.booleans())
def test_no_word_is_lost_and_no_piece_is_too_long(text: str, limit: int, short_first: bool) -> None:
    pieces = split_text(text, limit, short_first=short_first)
    words = re.compile(r"\w")
    assert "".join(words.findall("".join(pieces))) == "".join(words.findall(text))
    if words.search(text):
        assert all(words.search(piece) and len(piece) <= limit for piece in pieces)
    else:
        assert pieces == [text]


@pytest.mark.parametrize(
    ("text", "limit", "short_first", "pieces"),
    [
        ("一二三。四五六。", 5, False, ["一二三。", "四五六。"]),
        ("一二三。四五六。", 99, False, ["一二三。四五六。"]),
        ("好。今天天气很好。", 99, True, ["好。", "今天天气很好。"]),
        ("他说：“好！”然后走了。", 9, False, ["他说：“好！”", "然后走了。"]),
        ("一二三四，五六七八九", 7, False, ["一二三四，", "五六七八九"]),
        ("It costs 3.14 today. Really.", 21, False, ["It costs 3.14 today.", "Really."]),
        ("alpha beta gamma", 12, False, ["alpha beta", "gamma"]),
        ("一二三四五六七", 3, False, ["一二三", "四五六", "七"]),
        ("只有一句。……", 5, False, ["只有一句。"]),
        ("。。。", 2, False, ["。。。"]),
    ],
)
def test_cuts_are_where_a_reader_pauses(
    text: str, limit: int, short_first: bool, pieces: list[str]
) -> None:
    assert split_text(text, limit, short_first=short_first) == pieces


def test_a_piece_needs_room() -> None:
    with pytest.raises(ValueError, match="room"):
        split_text("好", 0)


class _Streams:
    """Streams of two bytes each, which wait for a signal before the second."""

    def __init__(self, number: int) -> None:
        self.begun: list[int] = []
        self.closed: list[int] = []
        self.go_on = [asyncio.Event() for _ in range(number)]

    async def stream(self, number: int) -> AsyncIterator[bytes]:
        self.begun.append(number)
        try:
            yield bytes([number])
            await self.go_on[number].wait()
            if number == 9:
                raise ConnectionError("broke off")
            yield bytes([number])
        finally:
            self.closed.append(number)

    def sources(self) -> list[partial[AsyncIterator[bytes]]]:
        return [partial(self.stream, number) for number in range(len(self.go_on))]


async def test_streams_are_read_in_order_and_begun_ahead() -> None:
    streams = _Streams(5)
    for event in reversed(streams.go_on):  # the last one is ready first
        event.set()
    heard: list[int] = []
    begun = []
    async for clip in read_ahead(streams.sources(), at_once=2):
        heard += [piece[0] async for piece in clip]
        await asyncio.sleep(0)  # those that may begin do so
        begun.append(len(streams.begun))
    assert heard == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert begun == [2, 3, 4, 5, 5]


async def test_closing_ends_all_streams() -> None:
    streams = _Streams(6)
    clips = read_ahead(streams.sources(), at_once=3)
    clip = await anext(clips)
    assert await anext(clip) == b"\0"
    async with asyncio.timeout(2):
        while len(streams.begun) < 3:
            await asyncio.sleep(0)
    await clips.aclose()
    assert sorted(streams.closed) == sorted(streams.begun) == [0, 1, 2]


async def test_a_failure_is_raised_where_its_audio_is_due() -> None:
    streams = _Streams(10)
    for event in streams.go_on:
        event.set()
    heard: list[int] = []
    with pytest.raises(ConnectionError, match="broke off"):
        async for clip in read_ahead(streams.sources(), at_once=10):
            async for piece in clip:
                heard += piece
    assert heard[-3:] == [8, 8, 9]
