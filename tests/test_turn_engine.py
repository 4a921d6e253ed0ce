"""The turn engine with real providers' clients against loopback servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat.engine.events import AudioReady, Event, TextReady, TranscriptReady, TurnFailed
from chat.engine.stages import Deadlines, Providers
from chat.engine.turn import TurnRun, TurnSpec
from chat.llm.base import Prompt, PromptMessage
from chat.llm.openai import OpenAILanguageModel
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.asr.openai import OpenAIRecognizer
from voice.audio.decode import decode_clip
from voice.tts.base import VoiceRef
from voice.tts.openai import OpenAISynthesizer

VOICE = VoiceRef("openai", "alloy")
SECOND = b"\x00\x01" * 16_000


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def providers(server: OpenAIServer) -> AsyncIterator[Providers]:
    arguments = (server.base_url, "key", "model")
    providers = Providers(
        llm=OpenAILanguageModel(*arguments),
        recognizer=OpenAIRecognizer(*arguments),
        synthesizer=OpenAISynthesizer(*arguments),
    )
    yield providers
    for provider in (providers.llm, providers.recognizer, providers.synthesizer):
        await provider.aclose()


def run_of(providers: Providers, *, pcm: bytes = SECOND, slow: float = 0.0, **spec):
    events: list[Event] = []

    async def emit(event: Event) -> None:
        await asyncio.sleep(slow)
        events.append(event)

    async def load_audio() -> bytes:
        return pcm

    def context(said: str) -> Prompt:
        return Prompt((PromptMessage("system", "亮"), PromptMessage("user", said)))

    given = {"text": "你好", **spec}
    run = TurnRun(TurnSpec(context, **given), providers, load_audio=load_audio, emit=emit)
    return run, events


def words(events) -> str:
    return "".join(event.text for event in events if isinstance(event, TextReady))


def audio(events) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioReady))


async def test_text_in_text_out(server, providers):
    server.always("chat", Behaviour(text="亮在此。"))
    run, events = run_of(providers)
    await run.execute()
    assert words(events) == run.text == "亮在此。"
    assert not audio(events)
    assert server.count("speech", "started") == 0


async def test_speech_in_speech_out(server, providers):
    server.always("chat", Behaviour(text="（轻摇羽扇）亮在此。主公有何吩咐？"))
    server.always("transcriptions", Behaviour(text="孔明先生"))
    run, events = run_of(providers, text="", spoken=True, voice=VOICE)
    await run.execute()
    assert events[0] == TranscriptReady("孔明先生")
    assert run.transcript == "孔明先生"
    assert server.last("chat").body["messages"][-1]["content"] == "孔明先生"
    assert words(events) == "（轻摇羽扇）亮在此。主公有何吩咐？"
    spoken = [e.body["input"] for e in server.script.exchanges if e.endpoint == "speech"]
    assert "".join(spoken).replace(" ", "") == "亮在此。主公有何吩咐？"
    clip = decode_clip(audio(events), max_seconds=60, max_bytes=10**7)
    assert clip.container == "mp3"
    assert clip.seconds == pytest.approx(run.audio_seconds, abs=0.2)
    assert bytes(run.audio) == audio(events)


async def test_speech_begins_before_the_text_has_ended(server, providers):
    text = "第一句话在这里。" + "后面还有很多话要说。" * 4
    server.always("chat", Behaviour(text=text, pace=Pace(tokens_per_second=60)))
    run, events = run_of(providers, voice=VOICE)
    await run.execute()
    first_audio = next(i for i, e in enumerate(events) if isinstance(e, AudioReady))
    assert any(isinstance(e, TextReady) for e in events[first_audio:])


async def test_silence_fails_the_turn(server, providers):
    server.always("transcriptions", Behaviour(text=" "))
    run, events = run_of(providers, text="", spoken=True)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert (error.value.stage, error.value.reason) == ("asr", "silent")
    assert not events


async def test_only_stage_directions_have_no_speech(server, providers):
    server.always("chat", Behaviour(text="（微微一笑）"))
    run, _events = run_of(providers, voice=VOICE)
    await run.execute()
    assert run.text == "（微微一笑）"
    assert server.count("speech", "started") == 0


async def test_an_empty_reply_is_a_failure(server, providers):
    server.always("chat", Behaviour(text=""))
    run, _events = run_of(providers)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert error.value.stage == "llm"


SHORT = Deadlines(
    audio=0.3, asr=0.3, llm_first=0.3, llm_next=0.3, tts_first=0.3, tts_next=0.3, turn=10
)


@pytest.mark.parametrize(
    ("endpoint", "fault", "stage"),
    [
        ("transcriptions", "stall_before", "asr"),
        ("chat", "stall_before", "llm"),
        ("chat", "stall_first", "llm"),
        ("chat", "stall_middle", "llm"),
        ("speech", "stall_before", "tts"),
        ("speech", "stall_first", "tts"),
        ("speech", "stall_middle", "tts"),
    ],
)
async def test_a_stalled_provider_misses_its_deadline(server, providers, endpoint, fault, stage):
    server.always(endpoint, Behaviour(fault=fault))
    run, _events = run_of(
        providers, pcm=SECOND[:8000], text="", spoken=True, voice=VOICE, deadlines=SHORT
    )
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert (error.value.stage, error.value.reason) == (stage, "timeout")
    await closed(server, endpoint)


async def closed(server: OpenAIServer, endpoint) -> None:
    """Until the provider has seen its client go."""
    async with asyncio.timeout(3):
        while server.count(endpoint, "cancelled") < 1:
            await asyncio.sleep(0.01)


async def test_a_turn_has_a_deadline_of_its_own(server, providers):
    server.always("chat", Behaviour(text="慢" * 100, pace=Pace(tokens_per_second=10)))
    run, events = run_of(providers, deadlines=Deadlines(turn=0.5))
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert (error.value.stage, error.value.reason) == ("turn", "timeout")
    assert words(events) == run.text


@pytest.mark.parametrize(
    ("endpoint", "behaviour"),
    [
        ("chat", Behaviour(text="很长的话。" * 50, pace=Pace(tokens_per_second=20))),
        ("speech", Behaviour(pace=Pace(tts_first_ms=5000))),
        ("transcriptions", Behaviour(pace=Pace(asr_ms=5000))),
    ],
    ids=["llm", "tts", "asr"],
)
async def test_a_cancel_closes_the_providers_connection(server, providers, endpoint, behaviour):
    server.always(endpoint, behaviour)
    run, events = run_of(providers, text="", spoken=True, voice=VOICE)
    task = asyncio.create_task(run.execute())
    async with asyncio.timeout(5):
        while server.count(endpoint, "started") < 1:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen = len(events)
    await closed(server, endpoint)
    assert len(events) == seen
    assert words(events) == run.text


async def test_cancelled_at_any_moment_nothing_comes_after(server, providers):
    """Sweeps the cancel over the whole turn; text and audio are always what was emitted."""
    server.always("chat", Behaviour(text="甲。乙。丙。丁。", pace=Pace(tokens_per_second=100)))
    for delay in [n * 0.012 for n in range(25)]:
        run, events = run_of(providers, voice=VOICE)
        task = asyncio.create_task(run.execute())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        seen = list(events)
        await asyncio.sleep(0.02)
        assert events == seen
        assert words(events) == run.text
        assert audio(events) == bytes(run.audio)


async def test_half_a_reply_fails_and_is_kept(server, providers):
    server.always("chat", Behaviour(text="亮在此。主公有何吩咐？", fault="drop_middle"))
    run, events = run_of(providers)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert error.value.reason == "incomplete"
    assert words(events) == run.text != ""


async def test_a_slow_consumer_slows_the_turn_but_loses_nothing(server, providers):
    server.always("chat", Behaviour(text="一二三四五六七八九十。"))
    run, events = run_of(providers, slow=0.01, voice=VOICE)
    await run.execute()
    assert words(events) == "一二三四五六七八九十。"


async def test_what_was_heard_grows_with_time(server, providers):
    server.always("chat", Behaviour(text="第一句话。第二句话。第三句话。"))
    run, _events = run_of(providers, voice=VOICE)
    assert run.heard_text() == ""
    await run.execute()
    early = run.heard_text()
    assert early.startswith("第一句话。")
    await asyncio.sleep(run.audio_seconds)
    assert run.heard_text().replace(" ", "") == "第一句话。第二句话。第三句话。"


@pytest.mark.parametrize("missing", ["recognizer", "synthesizer"])
async def test_without_speech_the_turn_says_so(server, providers, missing):
    lacking = Providers(
        llm=providers.llm,
        recognizer=None if missing == "recognizer" else providers.recognizer,
        synthesizer=None if missing == "synthesizer" else providers.synthesizer,
    )
    run, _events = run_of(lacking, text="", spoken=True, voice=VOICE)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert error.value.reason == "unavailable"


async def test_too_long_an_utterance_is_refused_before_the_provider(server, providers):
    longest = providers.recognizer.capabilities.max_seconds
    pcm = bytes(int((min(longest, 36_000) + 1) * 32_000))
    run, _events = run_of(providers, pcm=pcm, text="", spoken=True)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert error.value.reason == "too_long"
    assert server.count("transcriptions", "started") == 0
