"""The turn engine with a voice that takes the reply while it is written."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chat.engine.events import AudioReady, Event, TextReady, TurnFailed
from chat.engine.owed import Owed
from chat.engine.stages import Deadlines, Providers
from chat.engine.turn import TurnRun, TurnSpec
from chat.llm.base import Prompt, PromptMessage
from chat.llm.openai import OpenAILanguageModel
from tests.servers import voiced
from tests.servers.behaviour import Behaviour as Reply
from tests.servers.behaviour import Pace as Writing
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.audio.decode import decode_clip
from voice.dashscope.config import DashScopeConfig
from voice.tts.base import SentenceBegins, VoiceRef
from voice.tts.cosyvoice import CosyVoiceSynthesizer
from voice.tts.fallback import FallbackSynthesizer

KEY = "sk-0123456789abcdef"
VOICE = VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang")
REPLY = "（轻摇羽扇）亮在此，请坐。有何事？Do sit down. 茶好！"
SAID = "亮在此，请坐。有何事？Do sit down. 茶好！"


@pytest.fixture
async def writer() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        running.always("chat", Reply(text=REPLY, pace=Writing(tokens_per_second=80)))
        yield running


@pytest.fixture
async def speaker() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running:
        yield running


@pytest.fixture(params=["bare", "chain"])
async def providers(
    request: pytest.FixtureRequest, writer: OpenAIServer, speaker: DashScopeServer
) -> AsyncIterator[Providers]:
    config = DashScopeConfig(KEY, websocket_url=speaker.websocket_url, http_url=speaker.http_url)
    voice = CosyVoiceSynthesizer(config)
    made = Providers(
        llm=OpenAILanguageModel(writer.base_url, "key", "model"),
        recognizer=None,
        synthesizer=voice
        if request.param == "bare"
        else FallbackSynthesizer({"dashscope": voice}, lambda *_: None),
    )
    yield made
    await made.llm.aclose()
    await voice.aclose()


def run_of(providers: Providers, **spec) -> tuple[TurnRun, list[Event]]:
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    async def load_audio() -> bytes:
        raise AssertionError("nothing is spoken to it")

    def context(said: str) -> Prompt:
        return Prompt((PromptMessage("user", said),))

    given = {"text": "你好", "voice": VOICE, **spec}
    return TurnRun(TurnSpec(context, **given), providers, load_audio=load_audio, emit=emit), events


def audio(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioReady))


def bare(text: str) -> str:
    return text.replace(" ", "")


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_reply_is_one_task(providers, speaker):
    run, events = run_of(providers)
    await run.execute()
    assert run.text == REPLY
    assert speaker.count("tts", "finished") == 1
    assert bare("".join(speaker.last("tts").texts)) == bare(SAID)
    assert run.audio_seconds == pytest.approx(voiced.seconds_of(SAID), abs=0.3)
    clip = decode_clip(audio(events), max_seconds=60, max_bytes=10**7)
    assert clip.seconds == pytest.approx(run.audio_seconds, abs=0.2)
    assert bytes(run.audio) == audio(events)


async def test_speech_begins_before_the_text_has_ended(providers):
    run, events = run_of(providers)
    await run.execute()
    first = next(number for number, event in enumerate(events) if isinstance(event, AudioReady))
    assert any(isinstance(event, TextReady) for event in events[first:])


async def test_what_was_heard_grows_sentence_by_sentence(providers):
    run, _events = run_of(providers)
    assert run.heard_text() == ""
    await run.execute()
    early = bare(run.heard_text())
    assert early
    assert bare(SAID).startswith(early)
    assert early != bare(SAID)
    await asyncio.sleep(run.audio_seconds)
    assert bare(run.heard_text()) == bare(SAID)


async def test_barge_in_keeps_what_was_heard_and_frees_the_connection(providers, speaker):
    speaker.always("tts", Behaviour(pace=Pace(speech_rate=1.2)))
    run, events = run_of(providers)
    task = asyncio.create_task(run.execute())
    await until(lambda: run.audio_seconds > 0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen = list(events)
    heard = bare(run.heard_text())
    assert heard
    assert bare(SAID).startswith(heard)
    await until(lambda: speaker.connections_open == 0)
    assert events == seen
    assert bytes(run.audio) == audio(events)


async def test_cancelled_at_any_moment_nothing_stays(providers, speaker):
    before = asyncio.all_tasks()
    for delay in [number * 0.02 for number in range(20)]:
        run, events = run_of(providers)
        task = asyncio.create_task(run.execute())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        seen = list(events)
        await asyncio.sleep(0.02)
        assert events == seen
        assert audio(events) == bytes(run.audio)
        assert bare(SAID).startswith(bare(run.heard_text()))
    await until(lambda: not [each for each in asyncio.all_tasks() - before if ours(each)])


def ours(task: asyncio.Task) -> bool:
    """Whether a task runs code of the platform, not of the loopback servers."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and Path(code.co_filename).parts[-2] in (
        "engine",
        "tts",
        "dashscope",
        "voice",
    )


async def test_only_stage_directions_have_no_speech(providers, writer, speaker):
    writer.always("chat", Reply(text="（微微一笑）"))
    run, events = run_of(providers)
    await run.execute()
    assert run.text == "（微微一笑）"
    assert not audio(events)
    assert speaker.count("tts", "failed") == 0


@pytest.mark.parametrize("fault", ["stall_start", "stall_first"])
async def test_a_silent_voice_misses_its_deadline(providers, speaker, fault):
    speaker.always("tts", Behaviour(fault=fault))
    run, _events = run_of(providers, deadlines=Deadlines(tts_first=0.3))
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert (error.value.stage, error.value.reason) == ("tts", "timeout")
    await until(lambda: speaker.connections_open == 0)


async def test_a_slow_writer_is_no_silent_voice(providers, writer):
    writer.always("chat", Reply(text="一句。又一句。", pace=Writing(tokens_per_second=2)))
    run, _events = run_of(providers, deadlines=Deadlines(tts_first=0.9, tts_next=0.9))
    await run.execute()
    assert run.audio_seconds > 1


async def test_a_failed_voice_fails_the_turn(providers, speaker):
    speaker.always("connect", Behaviour(status=401))
    run, _events = run_of(providers)
    with pytest.raises(TurnFailed) as error:
        await run.execute()
    assert (error.value.stage, error.value.reason) == ("tts", "auth")


async def test_a_broken_sentence_does_not_end_the_reply(providers, speaker):
    speaker.next("tts", Behaviour(fault="drop_middle", sentence=1))
    run, _events = run_of(providers)
    await run.execute()
    assert speaker.count("tts", "started") == 2
    await asyncio.sleep(run.audio_seconds)
    assert bare(run.heard_text()) == bare(SAID)


async def test_without_the_ability_each_segment_is_a_request(providers, speaker):
    synthesizer = providers.synthesizer
    synthesizer.capabilities = replace(synthesizer.capabilities, incremental=frozenset())
    run, _events = run_of(providers)
    await run.execute()
    assert speaker.count("tts", "finished") > 1
    assert run.audio_seconds == pytest.approx(voiced.seconds_of(SAID), abs=0.3)


async def test_audio_is_owed_only_for_text_that_was_taken():
    owed = Owed(first=0.2, following=0.2)

    async def texts() -> AsyncIterator[str]:
        await asyncio.sleep(0.5)
        yield "一句。"

    async def items() -> AsyncIterator[bytes | SentenceBegins]:
        async for text in owed.noted(texts()):
            yield SentenceBegins(text)
            yield b"\0\0"
        await asyncio.sleep(0.5)  # spoken, and nothing more to speak
        yield b"\0\0"

    stream = items()
    assert await owed.next(stream) == SentenceBegins("一句。")
    assert await owed.next(stream) == b"\0\0"
    assert await owed.next(stream) == b"\0\0"
    assert await owed.next(stream) is None


async def test_audio_that_is_owed_has_a_deadline_while_one_waits():
    owed = Owed(first=0.2, following=0.2)

    async def texts() -> AsyncIterator[str]:
        await asyncio.sleep(0.3)
        yield "一句。"
        await asyncio.Event().wait()

    async def items() -> AsyncIterator[bytes | SentenceBegins]:
        async for _ in owed.noted(texts()):
            pass
        yield b""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await owed.next(items())
