"""A reply on its way: pieces of a length that can be played, and not a byte of it lost."""

import base64
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.engine.live_events import AudioReady, ReplyEnded, ReplyEvent, SentenceReady
from realtime.audio_formats import OutputFormat
from realtime.delivery import Delivery
from realtime.effects import Send
from realtime.outbox import Outbox
from realtime.output_audio import OutputEncoder
from realtime.playback import PlaybackClock
from realtime.response_options import ResponseOptions
from realtime.responses import Response
from tests.realtime.setups import Ids

ENDED = ReplyEnded("stop", 1, 1)
FORMATS: list[OutputFormat] = ["pcm16", "g711_ulaw", "g711_alaw"]
PER_MS = {"pcm16": 48, "g711_ulaw": 8, "g711_alaw": 8}


def sound(samples: int) -> bytes:
    t = np.arange(samples) / 24_000
    return (8_000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()


def engine(sentences: list[int], chunk: int, every: float) -> Iterator[tuple[float, ReplyEvent]]:
    """What comes of sentences of so many samples, and when: in chunks, one after the other."""
    now = 0.0
    for number, samples in enumerate(sentences):
        yield now, SentenceReady(f"第{number}句。")
        pcm = sound(samples)
        for at in range(0, len(pcm), 2 * chunk):
            piece = pcm[at : at + 2 * chunk]
            now += every * len(piece) / (2 * chunk)
            yield now, AudioReady(piece)
    yield now, ENDED


def delivered(
    comes: Iterator[tuple[float, ReplyEvent]], fmt: OutputFormat = "pcm16", lead: float = 4.0
) -> list[tuple[float, bytes]]:
    """When each delta was sent, and its audio; played as the session plays it."""
    now = 0.0
    outbox = Outbox(lambda: now, Ids())
    options = ResponseOptions(output_format=fmt)
    response = Response(outbox, options, conversation_id="conv_1", items=None)
    clock = PlaybackClock()
    delivery = Delivery(response, clock, fmt=fmt, lead_seconds=lead)
    deltas: list[tuple[float, bytes]] = []
    waiting = list(comes)
    wake: float | None = None
    while delivery.ended is None:
        if waiting and (wake is None or waiting[0][0] <= wake):
            now, event = waiting.pop(0)
            delivery.take(event)
        else:
            assert wake is not None, "it waits for nothing"
            now = wake
        wait = delivery.pump(now)
        wake = None if wait is None else now + wait
        deltas += [(now, audio) for audio in map(_audio, outbox.take()) if audio]
        assert clock.lead(now) <= max(lead, 0.125) + 0.002
    return deltas


def _audio(effect: Any) -> bytes:
    if isinstance(effect, Send) and effect.event["type"] == "response.output_audio.delta":
        return base64.b64decode(effect.event["delta"])
    return b""


def milliseconds(deltas: list[tuple[float, bytes]], fmt: OutputFormat = "pcm16") -> list[float]:
    return [len(audio) / PER_MS[fmt] for _, audio in deltas]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("chunk", [2_400, 4_800, 480, 120_000])
def test_the_rest_of_a_sentence_is_no_piece_of_its_own(fmt: OutputFormat, chunk: int) -> None:
    samples = [24_119, 24_000, 24_121, 24_500]
    deltas = delivered(engine(samples, chunk, 0.01), fmt)
    assert all(20 <= each <= 200 for each in milliseconds(deltas, fmt))
    encoder = OutputEncoder(fmt)
    whole = encoder.encode(b"".join(map(sound, samples))) + encoder.finish()
    assert b"".join(audio for _, audio in deltas) == whole


def test_a_voice_as_slow_as_it_is_heard_is_not_held_up() -> None:
    deltas = delivered(engine([24_119] * 4, 2_400, 0.099))
    ends = 0.0
    for at, audio in deltas[1:]:  # the first begins it
        ends = max(ends, deltas[0][0] + 0.04)
        assert at <= ends + 0.001, "the listener has nothing"
        ends += len(audio) / 48_000


def test_the_first_piece_goes_as_soon_as_it_is_one() -> None:
    first, *_ = delivered(engine([2_400], 960, 0.05))
    assert first == (0.05, sound(2_400)[:1_920])
    first, *_ = delivered(engine([2_400], 480, 0.05))
    assert first == (0.1, sound(2_400)[:1_920])
    (only,) = delivered(engine([240], 480, 0.05))
    assert only == (0.025, sound(240))


def test_what_is_kept_back_comes_in_time_though_nothing_follows() -> None:
    """The model thinks for ten seconds before it goes on with the next sentence."""
    begun = list(engine([24_010], 2_400, 0.01))[:-1]
    later = [(10.0 + at, event) for at, event in engine([24_000], 2_400, 0.01)]
    deltas = delivered(itertools.chain(begun, later))
    heard = 0.02
    for at, audio in deltas:
        if at >= 10.0:
            break
        assert at <= heard + 0.001
        heard += len(audio) / 48_000
    assert heard == pytest.approx(0.02 + 24_010 / 24_000)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 30_000), max_size=5),
    st.integers(1, 9_000),
    st.sampled_from([0.0, 0.005, 0.05, 0.3]),
    st.sampled_from(FORMATS),
    st.sampled_from([0.05, 0.3, 4.0]),
)
def test_every_byte_arrives(
    sentences: list[int], chunk: int, every: float, fmt: OutputFormat, lead: float
) -> None:
    deltas = delivered(engine(sentences, max(chunk, 50), every), fmt, lead)
    encoder = OutputEncoder(fmt)
    whole = encoder.encode(b"".join(map(sound, sentences))) + encoder.finish()
    said = b"".join(audio for _, audio in deltas)
    assert said == (whole if any(sentences) else b"")
    assert all(each <= 200 for each in milliseconds(deltas, fmt))
