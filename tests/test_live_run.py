"""A live turn in this loop, with real providers' clients against loopback servers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from chat.engine.live_events import (
    AudioReady,
    Heard,
    HearingEvent,
    HearingFailed,
    ReplyEnded,
    ReplyEvent,
    ReplyFailed,
    SentenceReady,
    TextReady,
)
from chat.engine.live_run import LiveRun
from chat.engine.order import ReplyOrder
from chat.engine.stages import Deadlines, Providers
from chat.llm.base import Prompt, PromptMessage
from chat.llm.fallback import FallbackLanguageModel
from chat.llm.openai import OpenAILanguageModel
from chat.llm.understudy import Understudy
from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour as DashScopeBehaviour
from tests.servers.openai_api import OpenAIServer
from voice.asr.base import Recognizer
from voice.asr.dashscope import StreamingRecognizer
from voice.asr.fallback import FallbackRecognizer
from voice.asr.openai import OpenAIRecognizer
from voice.attempts import collected
from voice.dashscope.config import DashScopeConfig
from voice.tts.base import VoiceRef
from voice.tts.cosyvoice import CosyVoiceSynthesizer
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.openai import OpenAISynthesizer

VOICE = VoiceRef("openai", "alloy")
STREAMED_VOICE = VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang")
KEY = "sk-0123456789abcdef"
PROMPT = Prompt((PromptMessage("system", "亮"), PromptMessage("user", "你好")))
REPLY = "（轻摇羽扇）亮在此。主公有何吩咐？Do sit down. The tea is warm."
SAID = "亮在此。主公有何吩咐？Do sit down. The tea is warm."
BLOCK = 1_280  # 40 ms
QUICK = Deadlines(
    audio=0.3, asr=0.3, llm_first=0.3, llm_next=0.3, tts_first=0.3, tts_next=0.3, turn=10
)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        running.always("chat", Behaviour(text=REPLY))
        yield running


@pytest.fixture
async def dashscope() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running:
        yield running


@pytest.fixture
async def providers(server: OpenAIServer) -> AsyncIterator[Providers]:
    arguments = (server.base_url, "key", "model")
    made = Providers(
        llm=FallbackLanguageModel({"openai": OpenAILanguageModel(*arguments)}),
        recognizer=FallbackRecognizer({"openai": OpenAIRecognizer(*arguments)}),
        synthesizer=FallbackSynthesizer({"openai": OpenAISynthesizer(*arguments)}, lambda *_: None),
    )
    yield made
    for provider in (made.llm, made.recognizer, made.synthesizer):
        await provider.aclose()


@pytest.fixture
async def streaming(providers: Providers, dashscope: DashScopeServer) -> AsyncIterator[Providers]:
    """The same with a recogniser and a voice that stream."""
    config = DashScopeConfig(
        KEY, websocket_url=dashscope.websocket_url, http_url=dashscope.http_url
    )
    made = replace(
        providers,
        recognizer=StreamingRecognizer(config),
        synthesizer=CosyVoiceSynthesizer(config),
    )
    yield made
    await made.recognizer.aclose()
    await made.synthesizer.aclose()


class Line:
    """A live turn with all that it told."""

    def __init__(self, providers: Providers, **given) -> None:
        self.heard: list[HearingEvent] = []
        self.replies: list[tuple[int, ReplyEvent]] = []
        self._told = asyncio.Event()
        self.run = LiveRun(providers, on_heard=self._on_heard, on_reply=self._on_reply, **given)

    def _on_heard(self, event: HearingEvent) -> None:
        self.heard.append(event)
        self._told.set()

    def _on_reply(self, run: int, event: ReplyEvent) -> None:
        self.replies.append((run, event))
        self._told.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(8):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def transcript(self) -> HearingEvent:
        await self.until(
            lambda: self.heard and (isinstance(self.heard[-1], HearingFailed) or self.final())
        )
        return self.heard[-1]

    def final(self) -> bool:
        return isinstance(self.heard[-1], Heard) and self.heard[-1].final

    async def end_of(self, number: int) -> ReplyEnded | ReplyFailed:
        def last():
            return [e for e in self.events(number) if isinstance(e, ReplyEnded | ReplyFailed)]

        await self.until(last)
        (end,) = last()
        assert end is self.events(number)[-1]
        return end

    def events(self, number: int) -> list[ReplyEvent]:
        return [event for run, event in self.replies if run == number]

    def text(self, number: int) -> str:
        return "".join(e.text for e in self.events(number) if isinstance(e, TextReady))

    def spoken(self, number: int) -> str:
        return "".join(e.text for e in self.events(number) if isinstance(e, SentenceReady))

    def seconds(self, number: int) -> float:
        pcm = b"".join(e.pcm for e in self.events(number) if isinstance(e, AudioReady))
        assert len(pcm) % 2 == 0
        return len(pcm) / 2 / 24_000

    def speak(self, seconds: float) -> None:
        pcm = voiced.pcm(seconds, 16_000)
        for start in range(0, len(pcm), BLOCK):
            self.run.hear(pcm[start : start + BLOCK])

    def pause(self, seconds: float) -> None:
        self.run.hear(bytes(int(seconds * 16_000) * 2))


def line(providers: Providers, **given) -> Line:
    return Line(providers, **given)


async def seen(server, endpoint: str, what: str, times: int = 1) -> None:
    """Until the provider has had so many requests of an outcome."""
    async with asyncio.timeout(4):
        while server.count(endpoint, what) < times:
            await asyncio.sleep(0.005)


def uploads(server: OpenAIServer) -> list[float]:
    """Seconds of audio of each request to the recogniser."""
    bodies = [e.body for e in server.script.exchanges if e.endpoint == "transcriptions"]
    return [voiced.wav_facts(body["file"])[0] for body in bodies]


# --- replies


async def test_a_reply_in_text(server, providers):
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, voice=None, max_tokens=77))
    assert turn.replies == []  # nothing from within a call
    end = await turn.end_of(1)
    assert turn.text(1) == REPLY
    assert end.finish_reason == "stop"
    assert (end.prompt_tokens, end.completion_tokens > 5) == (3, True)
    assert {type(event) for event in turn.events(1)} == {TextReady, ReplyEnded}
    assert server.last("chat").body["max_tokens"] == 77
    assert server.count("speech", "started") == 0


@pytest.mark.parametrize("kind", ["asked", "streamed"])
async def test_a_reply_that_is_spoken(providers, streaming, kind):
    voice = VOICE if kind == "asked" else STREAMED_VOICE
    turn = line(providers if kind == "asked" else streaming)
    turn.run.respond(1, ReplyOrder(PROMPT, voice))
    await turn.end_of(1)
    assert turn.text(1) == REPLY
    assert turn.spoken(1).rstrip() == SAID
    assert turn.seconds(1) == pytest.approx(voiced.seconds_of(SAID), abs=0.3)
    spoken = [e for e in turn.events(1) if isinstance(e, SentenceReady | AudioReady)]
    assert isinstance(spoken[0], SentenceReady)
    assert isinstance(spoken[1], AudioReady)


async def test_speech_begins_before_the_text_has_ended(server, providers):
    server.always("chat", Behaviour(text=REPLY, pace=Pace(tokens_per_second=40)))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    await turn.end_of(1)
    events = turn.events(1)
    first = next(i for i, event in enumerate(events) if isinstance(event, AudioReady))
    assert any(isinstance(event, TextReady) for event in events[first:])


async def test_a_preface_is_said_without_the_model(server, providers):
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(None, VOICE, preface="（笑）方才说到哪里了？"))
    end = await turn.end_of(1)
    assert end == ReplyEnded("stop", 0, 0)
    assert turn.text(1) == "（笑）方才说到哪里了？"
    assert turn.spoken(1) == "方才说到哪里了？"
    assert server.count("chat", "started") == 0


async def test_the_model_goes_on_after_a_preface(server, providers):
    server.always("chat", Behaviour(text="Now for the rest."))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE, preface="As I was saying."))
    await turn.end_of(1)
    assert turn.text(1) == turn.spoken(1) == "As I was saying. Now for the rest."


async def test_a_preface_is_spoken_while_the_model_still_thinks(server, providers):
    server.always("chat", Behaviour(text="再说。", pace=Pace(llm_first_ms=5_000)))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE, preface="As I was saying."))
    await turn.until(lambda: turn.seconds(1) > 0)
    assert turn.spoken(1) == "As I was saying."
    turn.run.close()
    await turn.run.wait_closed()


async def test_a_turn_that_is_closed_asks_nobody_any_more(server, providers):
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(0.5)
    turn.run.close()
    await turn.run.wait_closed()
    turn.speak(0.5)
    turn.run.peek()
    turn.run.finish_utterance()
    await asyncio.sleep(0.1)
    assert uploads(server) == []
    assert turn.heard == []


async def test_a_reply_of_directions_alone_ends_without_audio(server, providers):
    server.always("chat", Behaviour(text="（微微一笑）"))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    assert isinstance(await turn.end_of(1), ReplyEnded)
    assert turn.text(1) == "（微微一笑）"
    assert (turn.spoken(1), turn.seconds(1)) == ("", 0)


@pytest.mark.parametrize("voice", [None, VOICE])
async def test_an_empty_reply_fails(server, providers, voice):
    server.always("chat", Behaviour(text=""))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, voice))
    end = await turn.end_of(1)
    assert isinstance(end, ReplyFailed)
    assert (end.stage, end.reason) == ("llm", "empty")


@pytest.mark.parametrize(
    ("endpoint", "fault", "stage"),
    [
        ("chat", "stall_before", "llm"),
        ("chat", "stall_middle", "llm"),
        ("speech", "stall_before", "tts"),
        ("speech", "stall_middle", "tts"),
    ],
)
async def test_a_stalled_provider_fails_the_reply_at_its_deadline(
    server, providers, endpoint, fault, stage
):
    server.always(endpoint, Behaviour(text=REPLY, fault=fault))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE, deadlines=QUICK))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == (stage, "timeout")
    await seen(server, endpoint, "cancelled")


async def test_a_reply_has_a_deadline_of_its_own(server, providers):
    server.always("chat", Behaviour(text="慢" * 100, pace=Pace(tokens_per_second=10)))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE, deadlines=Deadlines(turn=0.4)))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == ("turn", "timeout")


async def test_a_voice_that_fails_fails_the_reply_after_its_text(server, providers):
    server.always("speech", Behaviour(status=401))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == ("tts", "auth")
    turn.run.respond(2, ReplyOrder(PROMPT, None))
    assert isinstance(await turn.end_of(2), ReplyEnded)


async def test_without_a_synthesiser_a_spoken_reply_fails_and_one_in_text_does_not(providers):
    turn = line(replace(providers, synthesizer=None))
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == ("tts", "unavailable")
    turn.run.respond(2, ReplyOrder(PROMPT, None))
    assert isinstance(await turn.end_of(2), ReplyEnded)


async def test_stop_ends_a_reply_at_once_and_upstream(server, providers):
    server.always("chat", Behaviour(text=REPLY * 20, pace=Pace(tokens_per_second=30)))
    server.always("speech", Behaviour(pace=Pace(speech_rate=1)))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    await turn.until(lambda: turn.seconds(1) > 0.2)
    turn.run.stop()
    told = len(turn.replies)
    await seen(server, "chat", "cancelled")
    await seen(server, "speech", "cancelled")
    assert len(turn.replies) == told


async def test_a_new_reply_takes_the_place_of_the_one_under_way(server, providers):
    server.next("chat", Behaviour(text=REPLY * 20, pace=Pace(tokens_per_second=30)))
    turn = line(providers)
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    await turn.until(lambda: turn.text(1))
    turn.run.respond(2, ReplyOrder(PROMPT, None))
    told = len(turn.events(1))
    assert isinstance(await turn.end_of(2), ReplyEnded)
    assert turn.text(2) == REPLY
    assert len(turn.events(1)) == told
    await seen(server, "chat", "cancelled")


@pytest.mark.parametrize("kind", ["asked", "streamed"])
async def test_stopped_at_any_moment_nothing_stays_and_nothing_comes(
    server, dashscope, providers, streaming, kind
):
    server.always("chat", Behaviour(text="甲。乙。丙。丁。", pace=Pace(tokens_per_second=100)))
    voice, chosen = (VOICE, providers) if kind == "asked" else (STREAMED_VOICE, streaming)
    for step in range(30):
        turn = line(chosen)
        turn.run.respond(step, ReplyOrder(PROMPT, voice))
        await asyncio.sleep(step * 0.008)
        turn.run.stop()
        told = len(turn.replies)
        for _ in range(step % 4):
            await asyncio.sleep(0)
        turn.run.close()
        async with asyncio.timeout(2):
            await turn.run.wait_closed()
        assert len(turn.replies) == told
    async with asyncio.timeout(3):
        while any(e.outcome == "open" for e in server.script.exchanges):
            await asyncio.sleep(0.01)
        while any(r.outcome == "open" for r in dashscope.script.records if r.kind == "tts"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("voice", [None, VOICE])
async def test_what_nobody_foresaw_fails_the_reply_and_leaves_the_turn(providers, voice):
    broken = Understudy()
    await broken.aclose()  # used all the same, it raises what no provider should
    turn = line(replace(providers, llm=FallbackLanguageModel({"understudy": broken})))
    turn.run.respond(1, ReplyOrder(PROMPT, voice))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == ("turn", "internal")
    turn.run.respond(2, ReplyOrder(None, VOICE, preface="亮在此。"))
    assert isinstance(await turn.end_of(2), ReplyEnded)


async def test_a_client_may_act_from_within_an_event(server, providers):
    """Stop from a reply's first text, and answer from the transcript."""
    server.always("chat", Behaviour(text=REPLY, pace=Pace(tokens_per_second=40)))
    heard, replies = [], []

    def on_heard(event: HearingEvent) -> None:
        heard.append(event)
        run.respond(1, ReplyOrder(PROMPT, VOICE))

    def on_reply(number: int, event: ReplyEvent) -> None:
        replies.append((number, event))
        if number == 1:
            run.respond(2, ReplyOrder(None, None, preface="且慢。"))
        elif isinstance(event, ReplyEnded):
            run.close()

    run = LiveRun(providers, on_heard=on_heard, on_reply=on_reply)
    run.listen(language="zh")
    run.hear(voiced.pcm(0.5, 16_000))
    run.finish_utterance()
    async with asyncio.timeout(5):
        await run.wait_closed()
    assert [type(event) for _, event in replies] == [TextReady, TextReady, ReplyEnded]
    assert [number for number, _ in replies] == [1, 2, 2]
    assert len(heard) == 1


# --- hearing


async def test_an_utterance_is_recognised_at_its_end(server, providers):
    server.always("transcriptions", Behaviour(text="孔明先生"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    await asyncio.sleep(0.05)
    assert server.count("transcriptions", "started") == 0
    turn.run.finish_utterance()
    assert turn.heard == []
    assert await turn.transcript() == Heard("孔明先生", final=True)
    assert uploads(server) == [pytest.approx(1.0, abs=0.01)]
    assert server.last("transcriptions").body["language"] == "zh"


async def test_a_streaming_recogniser_tells_while_one_speaks(dashscope, streaming):
    dashscope.always("asr", DashScopeBehaviour(text="孔明先生，请出山。"))
    turn = line(streaming)
    turn.run.listen(language="zh")
    turn.speak(1.5)
    await turn.until(lambda: turn.heard)
    assert not turn.final()
    turn.speak(1.5)
    turn.run.finish_utterance()
    assert await turn.transcript() == Heard("孔明先生，请出山。", final=True)
    assert sum(event.final for event in turn.heard) == 1
    assert dashscope.last("asr").seconds == pytest.approx(3, abs=0.11)


async def test_a_peek_that_only_silence_follows_is_the_transcript(server, providers):
    server.always("transcriptions", Behaviour(text="孔明先生"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.peek()
    await turn.until(lambda: turn.heard)
    assert turn.heard == [Heard("孔明先生", final=False)]
    turn.pause(0.4)
    turn.run.finish_utterance(silent=True)
    assert await turn.transcript() == Heard("孔明先生", final=True)
    assert len(uploads(server)) == 1


async def test_a_peek_under_way_at_the_end_is_waited_for(server, providers):
    server.always("transcriptions", Behaviour(text="孔明先生", pace=Pace(asr_ms=200)))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.peek()
    await seen(server, "transcriptions", "started")
    turn.run.finish_utterance(silent=True)
    assert await turn.transcript() == Heard("孔明先生", final=True)
    assert turn.heard == [Heard("孔明先生", final=True)]
    assert len(uploads(server)) == 1


async def test_speech_after_a_peek_is_recognised_with_what_came_before(server, providers):
    server.next("transcriptions", Behaviour(text="孔明"), Behaviour(text="孔明先生请出山"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(0.5)
    turn.run.peek()
    await turn.until(lambda: turn.heard)
    turn.speak(0.5)
    turn.run.finish_utterance()
    assert await turn.transcript() == Heard("孔明先生请出山", final=True)
    assert uploads(server) == [pytest.approx(0.5, abs=0.02), pytest.approx(1.0, abs=0.02)]


async def test_a_second_peek_takes_the_place_of_the_first(server, providers):
    server.next("transcriptions", Behaviour(fault="stall_before"), Behaviour(text="孔明先生"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(0.5)
    turn.run.peek()
    await seen(server, "transcriptions", "started")
    turn.speak(0.5)
    turn.run.peek()
    await turn.until(lambda: turn.heard)
    assert turn.heard == [Heard("孔明先生", final=False)]
    await seen(server, "transcriptions", "cancelled")


async def test_a_peek_that_fails_is_made_good_at_the_end(server, providers):
    server.next("transcriptions", *[Behaviour(status=500)] * 2, Behaviour(text="孔明先生"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.peek()
    await seen(server, "transcriptions", "finished", 2)
    turn.run.finish_utterance(silent=True)
    assert await turn.transcript() == Heard("孔明先生", final=True)
    assert turn.heard == [Heard("孔明先生", final=True)]


class Stumbling:
    """A recogniser whose first requests end in what no provider should raise."""

    def __init__(self, real: Recognizer, *errors: BaseException) -> None:
        self.name, self.capabilities = real.name, real.capabilities
        self.errors = list(errors)
        self._real = real

    async def recognize(self, audio, *, language=""):
        if self.errors:
            raise self.errors.pop(0)
        async for transcript in self._real.recognize(audio, language=language):
            yield transcript


@pytest.mark.parametrize("error", [KeyError("text"), asyncio.CancelledError()])
async def test_a_peek_that_breaks_is_made_good_at_the_end(server, providers, error, caplog):
    server.always("transcriptions", Behaviour(text="孔明先生"))
    stumbling = Stumbling(providers.recognizer, error)
    turn = line(replace(providers, recognizer=stumbling))
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.peek()
    await asyncio.sleep(0.05)
    assert stumbling.errors == []
    turn.run.finish_utterance(silent=True)
    assert await turn.transcript() == Heard("孔明先生", final=True)
    assert turn.heard == [Heard("孔明先生", final=True)]
    assert ("a peek broke" in caplog.text) == isinstance(error, KeyError)


async def test_a_recogniser_that_is_cancelled_within_is_told(streaming, providers):
    """Not by us: something it waited for. Nobody else would say that it has ended."""
    for recognizer, stage in ((streaming.recognizer, "turn"), (providers.recognizer, "asr")):
        stumbling = Stumbling(recognizer, asyncio.CancelledError())
        turn = line(replace(providers, recognizer=stumbling))
        turn.run.listen(language="zh")
        turn.speak(0.5)
        turn.run.finish_utterance()
        assert (await turn.transcript()).stage == stage


class Cancelled:
    """A model or a voice that ends as if somebody had stopped it."""

    def __init__(self, real) -> None:
        self.name, self.capabilities = real.name, real.capabilities

    async def stream(self, prompt, **options):
        raise asyncio.CancelledError
        yield

    async def synthesize(self, text, **options):
        raise asyncio.CancelledError
        yield


@pytest.mark.parametrize(("which", "stage"), [("llm", "llm"), ("synthesizer", "tts")])
async def test_a_reply_whose_provider_is_cancelled_within_fails(providers, which, stage):
    broken = {which: Cancelled(getattr(providers, which))}
    turn = line(replace(providers, **broken))
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    end = await turn.end_of(1)
    assert (end.stage, end.reason) == (stage, "unavailable")


async def test_nothing_that_is_speech_is_an_empty_transcript(server, providers):
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.pause(0.5)
    turn.run.finish_utterance()
    assert await turn.transcript() == Heard("", final=True)


async def test_a_recogniser_that_breaks_off_hears_it_all_again_at_the_end(dashscope, streaming):
    dashscope.next("asr", DashScopeBehaviour(text="孔明先生，请出山。", fault="drop_middle"))
    dashscope.always("asr", DashScopeBehaviour(text="孔明先生，请出山。"))
    turn = line(streaming)
    turn.run.listen(language="zh")
    turn.speak(1.5)
    await asyncio.sleep(0.2)
    turn.speak(1.5)
    turn.run.finish_utterance()
    assert await turn.transcript() == Heard("孔明先生，请出山。", final=True)
    assert dashscope.count("asr", "started") == 2
    assert dashscope.last("asr").seconds == pytest.approx(3, abs=0.11)


async def test_a_recogniser_that_refuses_is_told(server, providers):
    server.always("transcriptions", Behaviour(status=401))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.finish_utterance()
    failure = await turn.transcript()
    assert (failure.stage, failure.reason) == ("asr", "auth")


@pytest.mark.parametrize("kind", ["asked", "streamed"])
async def test_a_stalled_recogniser_misses_its_deadline(
    server, dashscope, providers, streaming, kind
):
    server.always("transcriptions", Behaviour(fault="stall_before"))
    dashscope.always("asr", DashScopeBehaviour(fault="stall_finish"))
    turn = line(providers if kind == "asked" else streaming, deadlines=QUICK)
    turn.run.listen(language="zh")
    turn.speak(0.4)
    await asyncio.sleep(0.5)  # while one speaks there is no deadline
    assert not any(isinstance(event, HearingFailed) for event in turn.heard)
    turn.run.finish_utterance()
    failure = await turn.transcript()
    assert (failure.stage, failure.reason) == ("asr", "timeout")


async def test_without_a_recogniser_hearing_fails(providers):
    turn = line(replace(providers, recognizer=None))
    turn.run.listen(language="zh")
    assert turn.heard == []
    turn.speak(0.2)
    turn.run.finish_utterance()
    failure = await turn.transcript()
    assert (failure.stage, failure.reason) == ("asr", "unavailable")


async def test_too_long_an_utterance_is_told_before_its_end(server, providers):
    turn = line(providers)
    turn.run.listen(language="zh")
    longest = providers.recognizer.capabilities.max_seconds
    turn.run.hear(bytes(int(min(longest, 36_000) + 1) * 32_000))
    failure = await turn.transcript()
    assert (failure.stage, failure.reason) == ("asr", "too_long")
    turn.run.finish_utterance()
    await asyncio.sleep(0.05)
    assert len(turn.heard) == 1
    assert server.count("transcriptions", "started") == 0


# --- the end


async def test_close_ends_everything_upstream_and_tells_nothing_more(server, providers):
    server.always("transcriptions", Behaviour(fault="stall_before"))
    server.always("chat", Behaviour(fault="stall_first"))
    turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(0.5)
    turn.run.finish_utterance()
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    await seen(server, "transcriptions", "started")
    await seen(server, "chat", "started")
    turn.run.close()
    async with asyncio.timeout(2):
        await turn.run.wait_closed()
    await seen(server, "transcriptions", "cancelled")
    await seen(server, "chat", "cancelled")
    assert (turn.heard, turn.replies) == ([], [])
    turn.run.listen(language="zh")
    turn.run.hear(b"\0\0")
    await asyncio.sleep(0.05)
    assert (turn.heard, turn.replies) == ([], [])


async def test_a_reply_that_is_asked_for_in_a_closed_turn_fails_once_and_asks_nobody(
    server, providers
):
    turn = line(providers)
    turn.run.close()
    turn.run.respond(1, ReplyOrder(PROMPT, None))
    assert turn.replies == []  # never from within the call
    turn.run.respond(2, ReplyOrder(PROMPT, None))
    await turn.end_of(2)
    turn.run.respond(3, ReplyOrder(PROMPT, None))
    turn.run.stop()
    await asyncio.sleep(0.05)
    assert turn.replies == [(2, ReplyFailed("turn", "closed"))]
    assert server.count("chat", "started") == 0


async def test_attempts_are_told_to_whoever_made_the_turn(server, providers):
    with collected() as attempts:
        turn = line(providers)
    turn.run.listen(language="zh")
    turn.speak(1.0)
    turn.run.finish_utterance()
    await turn.transcript()
    turn.run.respond(1, ReplyOrder(PROMPT, VOICE))
    await turn.end_of(1)
    turn.run.respond(2, ReplyOrder(PROMPT, VOICE))
    await turn.until(lambda: turn.seconds(2) > 0)
    turn.run.close()
    await turn.run.wait_closed()
    assert {attempt.capability for attempt in attempts} == {"asr", "llm", "tts"}
    assert all(attempt.outcome in ("ok", "cancelled") for attempt in attempts)
