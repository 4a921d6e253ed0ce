"""A reply spoken while it is written, by the client of a real API against a loopback server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from chat.engine.events import TurnFailed
from chat.engine.mouth import AHEAD, Mouth
from chat.engine.stages import Deadlines
from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.fallback import Policy
from voice.limits import Limit
from voice.tts.base import SentenceBegins, VoiceRef
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.openai import OpenAISynthesizer

VOICE = VoiceRef("openai", "alloy")
SENTENCES = [
    "第一句话在这里。",
    "这是第二句话，长一些。",
    "第三句话到了。",
    "这就是最后的一句话了。",
]
TEXT = "".join(SENTENCES)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def voice(server: OpenAIServer) -> AsyncIterator[OpenAISynthesizer]:
    made = OpenAISynthesizer(server.base_url, "key", "model")
    yield made
    await made.aclose()


class Heard:
    """What came of a mouth: each sentence with the seconds of its audio."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.seconds: list[float] = []
        self.pieces: list[int] = []

    async def listen(self, mouth: Mouth) -> "Heard":
        async with aclosing(mouth.speech()) as items:
            async for item in items:
                if isinstance(item, SentenceBegins):
                    self.sentences.append(item.text)
                    self.seconds.append(0.0)
                else:
                    self.seconds[-1] += len(item) / 2 / 24_000
                    self.pieces.append(len(item))
        return self


def mouth_of(voice, text: str = TEXT, **given) -> Mouth:
    """A mouth that has been given all of a text."""
    mouth = Mouth(voice, VOICE, **given)
    mouth.write(text)
    mouth.end()
    return mouth


def asked(server: OpenAIServer) -> list[str]:
    return [e.body["input"] for e in server.script.exchanges if e.endpoint == "speech"]


def under_way(server: OpenAIServer) -> int:
    return sum(e.outcome == "open" for e in server.script.exchanges if e.endpoint == "speech")


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_next_requests_begin_while_the_first_is_being_spoken(server, voice):
    server.always("speech", Behaviour(pace=Pace(speech_rate=1)))
    listening = asyncio.create_task(Heard().listen(mouth_of(voice)))
    await until(lambda: under_way(server) == 1 + AHEAD)
    assert server.count("speech", "finished") == 0
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_there_are_never_more_than_two_ahead(server, voice):
    server.always("speech", Behaviour(pace=Pace(tts_first_ms=80)))
    listening = asyncio.create_task(Heard().listen(mouth_of(voice, TEXT * 3)))
    most = 0
    while not listening.done():
        most = max(most, under_way(server))
        await asyncio.sleep(0.002)
    assert most == 1 + AHEAD


async def test_audio_comes_in_order_whoever_is_faster(server, voice):
    server.next("speech", Behaviour(pace=Pace(tts_first_ms=400)))
    heard = await Heard().listen(mouth_of(voice))
    assert "".join(heard.sentences) == TEXT
    for text, seconds in zip(heard.sentences, heard.seconds, strict=True):
        assert seconds == pytest.approx(voiced.seconds_of(text), abs=0.01)


async def test_overlap_saves_the_wait_of_every_later_segment(server, voice):
    server.always("speech", Behaviour(pace=Pace(tts_first_ms=300)))
    begun = asyncio.get_running_loop().time()
    heard = await Heard().listen(mouth_of(voice))
    took = asyncio.get_running_loop().time() - begun
    assert len(heard.sentences) >= 3
    assert took < 0.3 * len(heard.sentences) - 0.15


async def test_a_later_failure_comes_in_its_place(server, voice):
    server.next("speech", Behaviour(pace=Pace(tts_first_ms=300)), Behaviour(status=401))
    heard = Heard()
    with pytest.raises(TurnFailed) as error:
        await heard.listen(mouth_of(voice))
    assert (error.value.stage, error.value.reason) == ("tts", "auth")
    assert heard.sentences == SENTENCES[:1]
    assert heard.seconds == [pytest.approx(voiced.seconds_of(SENTENCES[0]), abs=0.01)]
    await until(lambda: under_way(server) == 0)


async def test_half_a_segment_is_heard_before_its_failure(server, voice):
    server.next("speech", Behaviour(), Behaviour(fault="drop_middle"))
    heard = Heard()
    with pytest.raises(TurnFailed) as error:
        await heard.listen(mouth_of(voice))
    assert error.value.reason == "incomplete"
    assert len(heard.sentences) == 2
    assert 0 < heard.seconds[1] < voiced.seconds_of(heard.sentences[1])


async def test_closing_closes_every_connection(server, voice):
    server.always("speech", Behaviour(fault="stall_middle"))
    speech = mouth_of(voice).speech()
    await anext(speech)
    await until(lambda: under_way(server) == 1 + AHEAD)
    await speech.aclose()
    await until(lambda: server.count("speech", "cancelled") == 1 + AHEAD)
    assert under_way(server) == 0


async def test_what_found_no_place_ahead_is_asked_again_in_its_turn(server, voice):
    limited = FallbackSynthesizer(
        {"openai": voice},
        lambda *_: None,
        Policy(attempts=1, longest_wait=0.05, limits={"openai": Limit(at_once=1)}),
    )
    server.always("speech", Behaviour(pace=Pace(tts_first_ms=200)))
    heard = await Heard().listen(mouth_of(limited))
    assert "".join(heard.sentences) == TEXT
    assert "".join(asked(server)) == TEXT


async def test_a_stalled_segment_misses_its_deadline(server, voice):
    server.next("speech", Behaviour(), Behaviour(fault="stall_first"))
    with pytest.raises(TurnFailed) as error:
        await Heard().listen(mouth_of(voice, deadlines=Deadlines(tts_first=0.3)))
    assert error.value.reason == "timeout"


async def test_the_first_audio_is_handed_on_at_once(server, voice):
    server.always("speech", Behaviour(piece_bytes=480, pace=Pace(speech_rate=1)))
    speech = mouth_of(voice).speech()
    assert await anext(speech) == SentenceBegins(SENTENCES[0])
    first = await anext(speech)
    await speech.aclose()
    assert len(first) <= 960


async def test_the_first_segment_goes_out_while_the_rest_is_being_written(server, voice):
    mouth = Mouth(voice, VOICE)
    listening = asyncio.create_task(Heard().listen(mouth))
    mouth.write(SENTENCES[0])
    await until(lambda: asked(server) == SENTENCES[:1])
    mouth.write(SENTENCES[1])
    await until(lambda: asked(server) == SENTENCES[:2])
    mouth.end()
    assert (await listening).sentences == SENTENCES[:2]


async def test_while_much_waits_to_be_heard_segments_are_gathered(server, voice):
    mouth = Mouth(voice, VOICE)
    listening = asyncio.create_task(Heard().listen(mouth))
    for _ in range(10):
        for sentence in SENTENCES:
            mouth.write(sentence)
            await asyncio.sleep(0.005)
    mouth.end()
    heard = await listening
    assert "".join(heard.sentences) == TEXT * 10
    assert len(asked(server)) < 15


async def test_what_was_held_back_goes_out_when_the_audio_runs_low(server, voice):
    mouth = Mouth(voice, VOICE)
    listening = asyncio.create_task(Heard().listen(mouth))
    mouth.write("很长很长的一句话" * 2 + "。")  # 3.5 s of audio
    await until(lambda: server.count("speech", "finished") == 1)
    mouth.write("短的一句。")
    await asyncio.sleep(0.05)
    assert len(asked(server)) == 1
    await until(lambda: len(asked(server)) == 2)  # the text has not ended
    mouth.end()
    await listening


async def test_a_voice_of_another_rate_comes_out_at_24_khz(server, voice):
    # The loopback voice says nothing of its rate: take its samples for slower ones.
    voice.capabilities = replace(voice.capabilities, sample_rate=16_000)
    heard = await Heard().listen(mouth_of(voice))
    assert sum(heard.seconds) == pytest.approx(voiced.seconds_of(TEXT) * 1.5, abs=0.05)
    assert all(size % 2 == 0 for size in heard.pieces)


async def test_sentences_joined_read_as_they_were_written(server, voice):
    text = "*smiles* Sit down. The tea is warm. 茶好！What brings you here?"
    heard = await Heard().listen(mouth_of(voice, text, language="en"))
    assert "".join(heard.sentences) == text.removeprefix("*smiles* ").replace(" 茶", "茶")


@pytest.mark.parametrize(("wanted", "spoken"), [(1.5, 1.5), (0.25, 0.5), (4.0, 2.0)])
async def test_the_speed_is_asked_for_as_far_as_voices_go(server, voice, wanted, spoken):
    heard = await Heard().listen(mouth_of(voice, speed=wanted))
    assert server.last("speech").body["speed"] == spoken
    assert sum(heard.seconds) == pytest.approx(voiced.seconds_of(TEXT, spoken), abs=0.1)


@pytest.mark.parametrize("text", ["", "（微微一笑）"])
async def test_nothing_to_speak_is_silent(server, voice, text):
    mouth = mouth_of(voice, text)
    assert not mouth.has_words
    assert (await Heard().listen(mouth)).sentences == []
    assert asked(server) == []
