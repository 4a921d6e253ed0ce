"""Chains of providers: two loopback servers, of which the first one fails in every way."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace

import pytest

from chat.llm.base import Completion, LanguageModelCapabilities, Prompt, PromptMessage, TextDelta
from chat.llm.fallback import FallbackLanguageModel
from chat.llm.openai import OpenAILanguageModel
from chat.llm.understudy import Understudy
from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.asr.base import RecognizerCapabilities, Transcript
from voice.asr.fallback import FallbackRecognizer
from voice.asr.openai import OpenAIRecognizer
from voice.attempts import collected
from voice.breaker import Rests
from voice.errors import ProviderError, Reason
from voice.fallback import Policy
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.openai import OpenAISynthesizer

PROMPT = Prompt((PromptMessage("user", "你好"),))
REST = 0.3
POLICY = Policy(
    attempts=2,
    pause=0.02,
    longest_wait=0.3,
    patience=0.4,
    rests=Rests(first=REST, longest=2 * REST),
)
FIRST_VOICE = VoiceRef("first", "alloy", "zh")


@pytest.fixture
async def first() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        server.always("chat", Behaviour(text="第一"))
        server.always("transcriptions", Behaviour(text="第一"))
        yield server


@pytest.fixture
async def second() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        server.always("chat", Behaviour(text="第二"))
        server.always("transcriptions", Behaviour(text="第二"))
        yield server


@pytest.fixture
async def chain(first: OpenAIServer, second: OpenAIServer) -> AsyncIterator[FallbackLanguageModel]:
    model = FallbackLanguageModel(
        {
            "first": OpenAILanguageModel(first.base_url, "", "m", name="first"),
            "second": OpenAILanguageModel(second.base_url, "", "m", name="second"),
        },
        POLICY,
    )
    await model.warm()  # else the first request of the process may outlast the patience
    yield model
    await model.aclose()


def nearest(voice: VoiceRef, provider: str) -> VoiceRef | None:
    return VoiceRef(provider, f"like-{voice.name}", voice.language)


@pytest.fixture
async def speakers(first: OpenAIServer, second: OpenAIServer) -> AsyncIterator[FallbackSynthesizer]:
    synthesizer = FallbackSynthesizer(
        {
            "first": OpenAISynthesizer(first.base_url, "", "m", name="first"),
            "second": OpenAISynthesizer(second.base_url, "", "m", name="second"),
        },
        nearest,
        POLICY,
    )
    await synthesizer.warm()
    yield synthesizer
    await synthesizer.aclose()


async def ask(model: FallbackLanguageModel) -> str:
    items = [item async for item in model.stream(PROMPT, max_tokens=100)]
    assert isinstance(items[-1], Completion)
    return "".join(item.text for item in items if isinstance(item, TextDelta))


def asked(server: OpenAIServer) -> int:
    return sum(counts["started"] for counts in server.script.counts.values())


# When the next one is asked


async def test_the_preferred_provider_is_asked_alone(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    assert await ask(chain) == "第一"
    assert (asked(first), asked(second)) == (1, 0)


@pytest.mark.parametrize(
    ("behaviour", "requests"),
    [
        (Behaviour(status=503), 2),
        (Behaviour(status=429), 2),
        (Behaviour(status=429, retry_after="0.1"), 2),
        (Behaviour(status=429, retry_after="60"), 1),  # too long to wait for
        (Behaviour(fault="drop_before"), 2),
        (Behaviour(fault="stall_before"), 1),  # the time is spent
    ],
)
async def test_what_may_pass_is_tried_again_and_then_elsewhere(
    first: OpenAIServer,
    second: OpenAIServer,
    chain: FallbackLanguageModel,
    behaviour: Behaviour,
    requests: int,
) -> None:
    first.always("chat", behaviour)
    started = time.monotonic()
    assert await ask(chain) == "第二"
    assert (asked(first), asked(second)) == (requests, 1)
    assert time.monotonic() - started < 1


async def test_a_second_request_to_the_same_provider_may_do(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.next("chat", Behaviour(status=429, retry_after="0.2"))
    started = time.monotonic()
    assert await ask(chain) == "第一"
    assert time.monotonic() - started >= 0.2
    assert (asked(first), asked(second)) == (2, 0)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(status=400, code="context_length_exceeded"), "bad_request"),
        (Behaviour(text="", finish_reason="content_filter"), "refused"),
    ],
)
async def test_what_cannot_pass_is_raised(
    first: OpenAIServer,
    second: OpenAIServer,
    chain: FallbackLanguageModel,
    behaviour: Behaviour,
    reason: Reason,
) -> None:
    first.always("chat", behaviour)
    with pytest.raises(ProviderError) as caught:
        await ask(chain)
    assert (caught.value.reason, caught.value.provider) == (reason, "first")
    assert asked(second) == 0


@pytest.mark.parametrize("fault", ["drop_middle", "no_finish", "invalid_json"])
async def test_a_reply_that_has_begun_stays_with_its_writer(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel, fault: str
) -> None:
    first.next("chat", Behaviour(text="一二三四", fault=fault))  # type: ignore[arg-type]
    told = ""
    with pytest.raises(ProviderError) as caught:
        async for item in chain.stream(PROMPT, max_tokens=100):
            assert isinstance(item, TextDelta)
            told += item.text
    assert told.startswith("一二")
    assert caught.value.reason == "incomplete"
    assert (asked(first), asked(second)) == (1, 0)


async def test_the_last_failure_is_raised_when_all_fail(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.always("chat", Behaviour(status=503))
    second.always("chat", Behaviour(status=429, retry_after="7"))
    with pytest.raises(ProviderError) as caught:
        await ask(chain)
    error = caught.value
    assert (error.provider, error.reason, error.retry_after) == ("second", "rate_limited", 7)


@pytest.mark.parametrize(
    "fault",
    [Behaviour(fault="stall_before"), Behaviour(fault="stall_first"), Behaviour(status=503)],
)
async def test_when_all_fail_the_error_comes_within_the_patience(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel, fault: Behaviour
) -> None:
    await chain.warm()
    for server in (first, second):
        server.always("chat", fault)
    for _ in range(2):  # the second time all of them rest
        started = time.monotonic()
        with pytest.raises(ProviderError) as caught:
            await ask(chain)
        assert caught.value.reason == ("timeout" if fault.fault else "unavailable")
        assert time.monotonic() - started < POLICY.patience + 0.5
    assert asked(second)


async def test_patience_does_not_hold_for_who_computes_in_this_process(
    first: OpenAIServer,
) -> None:
    model = FallbackLanguageModel(
        {"local": OpenAILanguageModel(first.base_url, "", "m")}, replace(POLICY, patience=0.05)
    )
    first.next("chat", Behaviour(text="慢", pace=Pace(llm_first_ms=200)))
    assert await ask(model) == "慢"
    await model.aclose()


async def test_the_share_of_who_computes_here_goes_to_the_others(
    first: OpenAIServer, second: OpenAIServer
) -> None:
    model = FallbackLanguageModel(
        {
            "first": OpenAILanguageModel(first.base_url, "", "m"),
            "local": OpenAILanguageModel(second.base_url, "", "m"),
        },
        replace(POLICY, patience=2.0),
    )
    await model.warm()
    first.next("chat", Behaviour(text="慢", pace=Pace(llm_first_ms=1_200)))
    assert await ask(model) == "慢"
    assert asked(second) == 0
    await model.aclose()


async def test_patience_ends_with_the_first_word(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.next("chat", Behaviour(text="一二三", pace=Pace(tokens_per_second=2)))
    assert await ask(chain) == "一二三"
    assert asked(second) == 0


# The memory of who fails


async def test_a_failing_provider_rests_and_comes_back(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.next("chat", Behaviour(status=503), Behaviour(status=503))
    assert [await ask(chain) for _ in range(3)] == ["第二"] * 3
    assert asked(first) == 2
    await asyncio.sleep(1.5 * REST)
    assert await ask(chain) == "第一"


async def test_where_all_rest_all_are_asked(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    for server in (first, second):
        server.next("chat", Behaviour(status=503), Behaviour(status=503))
    with pytest.raises(ProviderError):
        await ask(chain)
    assert await ask(chain) == "第一"


# Closing


async def test_closing_the_chain_s_iterator_closes_the_connection(
    first: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.next("chat", Behaviour(text="一二三四", pace=Pace(tokens_per_second=5)))
    stream = chain.stream(PROMPT, max_tokens=100)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(1):
        while not first.count("chat", "cancelled"):
            await asyncio.sleep(0.005)


async def test_the_provider_that_was_left_has_lost_its_connection(
    first: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.next("chat", Behaviour(fault="stall_before"))
    assert await ask(chain) == "第二"
    async with asyncio.timeout(1):
        while not first.count("chat", "cancelled"):
            await asyncio.sleep(0.005)


async def test_a_chain_needs_a_provider() -> None:
    with pytest.raises(ValueError, match="provider"):
        FallbackLanguageModel({}, POLICY)


async def test_a_chain_is_offline_where_all_of_it_is(chain: FallbackLanguageModel) -> None:
    assert chain.capabilities == LanguageModelCapabilities(tools=True)
    assert FallbackLanguageModel({"understudy": Understudy()}).capabilities.offline


# Voices


async def test_another_provider_speaks_with_its_nearest_voice(
    first: OpenAIServer, second: OpenAIServer, speakers: FallbackSynthesizer
) -> None:
    first.always("speech", Behaviour(status=503))
    pieces = [piece async for piece in speakers.synthesize("你好", voice=FIRST_VOICE)]
    assert b"".join(pieces) == voiced.pcm(0.44)
    assert first.last("speech").body["voice"] == "alloy"
    assert second.last("speech").body["voice"] == "like-alloy"


async def test_a_voice_is_spoken_by_its_own_provider_first(
    first: OpenAIServer, second: OpenAIServer, speakers: FallbackSynthesizer
) -> None:
    voice = VoiceRef("second", "nova")
    assert [piece async for piece in speakers.synthesize("你好", voice=voice)]
    assert (asked(first), second.last("speech").body["voice"]) == (0, "nova")


async def test_a_provider_without_any_voice_is_passed_over(
    first: OpenAIServer, second: OpenAIServer
) -> None:
    synthesizer = FallbackSynthesizer(
        {
            "first": OpenAISynthesizer(first.base_url, "", "m"),
            "second": OpenAISynthesizer(second.base_url, "", "m"),
        },
        lambda voice, provider: nearest(voice, provider) if provider == "second" else None,
        POLICY,
    )
    gone = VoiceRef("gone", "x")
    assert [piece async for piece in synthesizer.synthesize("你好", voice=gone)]
    assert (asked(first), asked(second)) == (0, 1)
    mute = FallbackSynthesizer(
        {"first": OpenAISynthesizer(first.base_url, "", "m")}, lambda *_: None, POLICY
    )
    with pytest.raises(ProviderError) as caught:
        await anext(mute.synthesize("你好", voice=gone))
    assert caught.value.reason == "bad_request"
    await mute.aclose()
    await synthesizer.aclose()


class Hum:
    """A synthesiser of 16 kHz, written for this test: the loopback server speaks 24."""

    name = "hum"
    capabilities = SynthesizerCapabilities(sample_rate=16_000, streaming=False, max_characters=50)

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        for _ in range(10):
            yield voiced.pcm(0.1, 16_000)

    async def aclose(self) -> None:
        """Holds nothing."""


async def test_all_of_a_chain_speaks_at_one_rate(first: OpenAIServer) -> None:
    first.always("speech", Behaviour(status=503))
    synthesizer = FallbackSynthesizer(
        {"first": OpenAISynthesizer(first.base_url, "", "m"), "hum": Hum()}, nearest, POLICY
    )
    assert synthesizer.capabilities == SynthesizerCapabilities(
        sample_rate=24_000, streaming=False, max_characters=50
    )
    pieces = [piece async for piece in synthesizer.synthesize("你好", voice=FIRST_VOICE)]
    assert abs(len(b"".join(pieces)) / 48_000 - 1) < 0.01
    await synthesizer.aclose()


# Listening


async def spoken() -> AsyncIterator[bytes]:
    for _ in range(10):
        yield voiced.pcm(0.1, 16_000)


async def test_the_next_recogniser_hears_all_of_the_audio(
    first: OpenAIServer, second: OpenAIServer
) -> None:
    recognizer = FallbackRecognizer(
        {
            "first": OpenAIRecognizer(first.base_url, "", "m"),
            "second": OpenAIRecognizer(second.base_url, "", "m"),
        },
        POLICY,
    )
    first.next("transcriptions", Behaviour(status=503), Behaviour(fault="stall_before"))
    found = [each async for each in recognizer.recognize(spoken(), language="zh")]
    assert found == [Transcript("第二", is_final=True, language="zh")]
    sent = [server.last("transcriptions").body["file"] for server in (first, second)]
    assert sent[0] == sent[1]
    assert len(sent[0]) == 44 + 32_000
    await recognizer.aclose()


class Dictation:
    """A streaming recogniser, written for this test: tells how much it has heard.

    It listens in a task of its own, which it cancels when its connection breaks.
    """

    def __init__(self, name: str, breaks_after: int | None = None, silent: bool = False) -> None:
        self.name = name
        self.capabilities = RecognizerCapabilities(streaming=True, max_seconds=60)
        self._breaks_after = breaks_after
        self._silent = silent

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        heard: asyncio.Queue[int | None] = asyncio.Queue()

        async def listen() -> None:
            async for piece in audio:
                heard.put_nowait(len(piece))
            heard.put_nowait(None)

        listening = asyncio.create_task(listen())
        pieces = total = 0
        try:
            while (size := await heard.get()) is not None:
                pieces, total = pieces + 1, total + size
                if not self._silent:
                    yield Transcript(str(total), is_final=False)
                if pieces == self._breaks_after:
                    await asyncio.sleep(0.01)  # by now it waits for the next piece
                    raise ProviderError("broken", provider=self.name, reason="unavailable")
            yield Transcript(str(total), is_final=True)
        finally:
            listening.cancel()

    async def aclose(self) -> None:
        """Holds nothing."""


async def live() -> AsyncIterator[bytes]:
    """Somebody speaks: 10 pieces, one each 30 ms."""
    for _ in range(10):
        await asyncio.sleep(0.03)
        yield bytes(960)


async def test_a_live_utterance_survives_a_change_of_recogniser() -> None:
    recognizer = FallbackRecognizer(
        {"first": Dictation("first", breaks_after=3, silent=True), "second": Dictation("second")},
        replace(POLICY, attempts=1, patience=0.05),
    )
    assert recognizer.capabilities.streaming
    started = time.monotonic()
    found = [(each, time.monotonic() - started) async for each in recognizer.recognize(live())]
    assert [each.text for each, _ in found[:-1]] == [str(960 * n) for n in range(1, 11)]
    assert found[-1][0] == Transcript("9600", is_final=True)
    assert found[0][1] < 0.2  # while the person still speaks


async def test_a_recogniser_that_has_begun_is_not_replaced() -> None:
    recognizer = FallbackRecognizer(
        {"first": Dictation("first", breaks_after=3), "second": Dictation("second")}, POLICY
    )
    found = []
    with pytest.raises(ProviderError, match="broken"):
        async for each in recognizer.recognize(live()):
            found.append(each)  # noqa: PERF401 - what came before the failure counts
    assert len(found) == 3


async def test_a_broken_source_of_audio_is_no_provider_s_failure(
    first: OpenAIServer, second: OpenAIServer
) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield bytes(960)
        raise ConnectionResetError("the caller hung up")

    recognizer = FallbackRecognizer(
        {
            "first": OpenAIRecognizer(first.base_url, "", "m"),
            "second": OpenAIRecognizer(second.base_url, "", "m"),
        },
        POLICY,
    )
    with pytest.raises(ConnectionResetError):
        _ = [each async for each in recognizer.recognize(cut())]
    assert (asked(first), asked(second)) == (0, 0)
    await recognizer.aclose()


# What is told of it


async def test_each_request_is_told_with_its_end(
    first: OpenAIServer, second: OpenAIServer, chain: FallbackLanguageModel
) -> None:
    first.always("chat", Behaviour(status=503))
    with collected() as attempts:
        await ask(chain)
    told = [(a.capability, a.provider, a.outcome) for a in attempts]
    assert told == [("llm", "first", "unavailable")] * 2 + [("llm", "second", "ok")]
    assert [a.first is None for a in attempts] == [True, True, False]
    assert attempts[-1].units["completion_tokens"] == 2
    assert all(0 < a.seconds < 10 for a in attempts)


async def test_a_request_that_is_left_counts_as_cancelled(
    first: OpenAIServer, speakers: FallbackSynthesizer
) -> None:
    with collected() as attempts:
        pieces = speakers.synthesize("今夜有东风。" * 5, voice=FIRST_VOICE)
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
    (attempt,) = attempts
    assert (attempt.capability, attempt.outcome) == ("tts", "cancelled")
    assert attempt.units == {"characters": 30}
    assert attempt.first is not None


async def test_recognised_audio_is_told_in_seconds(first: OpenAIServer) -> None:
    recognizer = FallbackRecognizer({"first": OpenAIRecognizer(first.base_url, "", "m")}, POLICY)

    async def clip() -> AsyncIterator[bytes]:
        yield voiced.pcm(1.5, 16_000)

    with collected() as attempts:
        _ = [each async for each in recognizer.recognize(clip())]
    assert attempts[0].units == {"seconds": pytest.approx(1.5)}
    await recognizer.aclose()


class Deaf:
    """A recogniser, written for this test, that takes the audio and never answers."""

    name = "deaf"

    def __init__(self, *, streaming: bool) -> None:
        self.capabilities = RecognizerCapabilities(streaming=streaming, max_seconds=60)

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        await asyncio.sleep(60)
        yield Transcript("", is_final=True)

    async def warm(self) -> None:
        """Has nothing to load."""

    async def aclose(self) -> None:
        """Holds nothing."""


@pytest.mark.parametrize("streaming", [False, True])
async def test_recognisers_that_stall_on_a_recording_fail_within_the_patience(
    streaming: bool,
) -> None:
    recognizer = FallbackRecognizer(
        {name: Deaf(streaming=streaming) for name in ("first", "second")}, POLICY
    )
    started = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        _ = [each async for each in recognizer.recognize(spoken())]
    assert (caught.value.provider, caught.value.reason) == ("second", "timeout")
    assert time.monotonic() - started < POLICY.patience + 0.6
    await recognizer.aclose()
