"""Recognition by DashScope, streamed and whole."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.servers import voiced
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour, Pace
from voice.asr import dashscope
from voice.asr.base import Recognizer, Transcript
from voice.dashscope.config import DashScopeConfig, Patience
from voice.dashscope.errors import DashScopeError
from voice.dashscope.pool import pool_state
from voice.errors import ProviderError

KEY = "sk-0123456789abcdef"
QUICK = Patience(started=1, first_audio=0.5, silence=1, pause=0.4)
RATE = 16_000
STREAMING = "paraformer-realtime-v2"
WHOLE = "qwen3-asr-flash"


@pytest.fixture
async def server() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running:
        yield running


@pytest.fixture
async def recognizer_of(server: DashScopeServer) -> AsyncIterator[Any]:
    made: list[Recognizer] = []

    def make(model: str, **given: Any) -> Recognizer:
        fields = {"api_key": KEY, "patience": QUICK, "asr_model": model} | given
        made.append(
            dashscope.build(
                DashScopeConfig(
                    websocket_url=server.websocket_url, http_url=server.http_url, **fields
                )
            )
        )
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


async def audio_of(pcm: bytes, size: int = 3_200) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


async def heard(recognizer: Recognizer, pcm: bytes, language: str = "zh") -> list[Transcript]:
    return [each async for each in recognizer.recognize(audio_of(pcm), language=language)]


def speech(seconds: float) -> bytes:
    return voiced.pcm(seconds, RATE)


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE) * 2)


# Streamed


@pytest.mark.parametrize("model", [STREAMING, "fun-asr-realtime"])
async def test_text_comes_in_parts_and_then_for_good(server, recognizer_of, model):
    server.always("asr", Behaviour(text="孔明先生，请出山。"))
    transcripts = await heard(recognizer_of(model), speech(3))
    *interim, final = transcripts
    assert final == Transcript("孔明先生，请出山。", is_final=True, language="zh")
    assert interim
    assert not any(each.is_final for each in interim)
    assert all(final.text.startswith(each.text) for each in interim)
    assert server.last("asr").model == model
    assert server.last("asr").seconds == pytest.approx(3, abs=0.11)


async def test_sentences_are_joined(server, recognizer_of):
    server.always("asr", Behaviour(text="第一句。第二句。"))
    pcm = speech(1.5) + silence(1.2) + speech(1.5)
    transcripts = await heard(recognizer_of(STREAMING), pcm)
    assert transcripts[-1].text == "第一句。第二句。"
    assert any(each.text.startswith("第一句。第") and not each.is_final for each in transcripts)


async def test_english_sentences_have_a_space_between(server, recognizer_of):
    server.always("asr", Behaviour(text="Good day! Sit down!"))
    pcm = speech(1.5) + silence(1.2) + speech(1.5)
    transcripts = await heard(recognizer_of(STREAMING), pcm, language="en")
    assert transcripts[-1].text == "Good day! Sit down!"


async def test_it_listens_while_one_speaks(server, recognizer_of):
    said = asyncio.Event()

    async def microphone() -> AsyncIterator[bytes]:
        async for piece in audio_of(speech(1.5)):
            yield piece
        await said.wait()

    transcripts = recognizer_of(STREAMING).recognize(microphone(), language="zh")
    first = await anext(transcripts)
    assert first.text
    assert not first.is_final
    said.set()
    assert [each async for each in transcripts][-1].is_final


@pytest.mark.parametrize("size", [2, 640, 3_200, 1_000_000])
async def test_pieces_of_any_length(server, recognizer_of, size):
    recognizer = recognizer_of(STREAMING)
    pieces = audio_of(speech(1), size)
    transcripts = [each async for each in recognizer.recognize(pieces)]
    assert transcripts[-1].text == "你好，请介绍一下你自己。"
    assert server.last("asr").seconds == pytest.approx(1, abs=0.01)


async def test_what_is_asked(server, recognizer_of):
    recognizer = recognizer_of(STREAMING, workspace="ws-1")
    await heard(recognizer, speech(1), language="en")
    asked = server.last("asr")
    assert (asked.parameters["format"], asked.parameters["sample_rate"]) == ("pcm", RATE)
    assert asked.parameters["language_hints"] == ["en", "zh"]
    assert asked.parameters["heartbeat"] is True
    assert asked.headers["X-DashScope-WorkSpace"] == "ws-1"
    await heard(recognizer, speech(1), language="")
    assert "language_hints" not in server.last("asr").parameters


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_next_to_no_audio_is_not_sent(server, recognizer_of, seconds):
    transcripts = await heard(recognizer_of(STREAMING), speech(seconds))
    assert transcripts == [Transcript("", is_final=True, language="zh")]
    assert server.connections_opened == 0


async def test_nobody_spoke(server, recognizer_of):
    transcripts = await heard(recognizer_of(STREAMING), silence(3))
    assert transcripts == [Transcript("", is_final=True, language="zh")]
    assert server.last("asr").error.startswith("NO_VALID_AUDIO_ERROR")


async def test_a_pause_of_the_speaker_is_bridged(recognizer_of):
    """The service ends a task without frames; heartbeats say nothing."""

    async def microphone() -> AsyncIterator[bytes]:
        async for piece in audio_of(speech(1)):
            yield piece
        await asyncio.sleep(1.2)
        async for piece in audio_of(speech(1)):
            yield piece

    async with DashScopeServer(api_key=KEY, silence=0.6) as strict:
        recognizer = dashscope.build(
            DashScopeConfig(KEY, websocket_url=strict.websocket_url, patience=QUICK)
        )
        transcripts = [each async for each in recognizer.recognize(microphone())]
        assert transcripts[-1].is_final
        assert transcripts[-1].text
        assert strict.last("asr").outcome == "finished"
        assert strict.last("asr").seconds >= 2.1
        await recognizer.aclose()


async def test_connections_are_kept(server, recognizer_of):
    recognizer = recognizer_of(STREAMING)
    before = pool_state()["asr"]
    for _ in range(3):
        await heard(recognizer, speech(0.5))
    assert server.connections_opened == 1
    assert pool_state()["asr"].reused - before.reused == 2


async def test_a_dead_connection_is_replaced_unseen(server, recognizer_of):
    recognizer = recognizer_of(STREAMING)
    await heard(recognizer, speech(0.5))
    server.next("asr", Behaviour(fault="drop_start"))
    assert (await heard(recognizer, speech(0.5)))[-1].text
    assert server.connections_opened == 2


async def test_a_rate_limit_is_waited_for_without_losing_audio(server, recognizer_of):
    server.next("connect", Behaviour(status=429))
    transcripts = await heard(recognizer_of(STREAMING), speech(1))
    assert transcripts[-1].text == "你好，请介绍一下你自己。"
    assert server.last("asr").seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "behaviour", "reason"),
    [
        ("connect", Behaviour(status=401), "auth"),
        ("connect", Behaviour(status=503), "unavailable"),
        ("asr", Behaviour(fault="fail_start", code="Arrearage"), "billing"),
        ("asr", Behaviour(fault="fail_start", code="InvalidParameter"), "bad_request"),
        ("asr", Behaviour(fault="stall_start"), "timeout"),
        ("asr", Behaviour(fault="stall_first"), "timeout"),
        ("asr", Behaviour(fault="stall_finish"), "incomplete"),
        ("asr", Behaviour(fault="drop_start"), "unavailable"),
        ("asr", Behaviour(fault="invalid_json"), "unavailable"),
    ],
)
async def test_failures_streamed(server, recognizer_of, kind, behaviour, reason):
    server.next(kind, behaviour)
    with pytest.raises(DashScopeError) as error:
        await heard(recognizer_of(STREAMING), speech(2))
    assert error.value.reason == reason


@pytest.mark.parametrize("fault", ["drop_middle", "fail_middle", "stall_middle"])
async def test_failures_in_the_middle(server, recognizer_of, fault):
    server.next("asr", Behaviour(fault=fault))
    with pytest.raises(DashScopeError) as error:
        await heard(recognizer_of(STREAMING), speech(2))
    assert error.value.reason in ("unavailable", "timeout", "incomplete")


async def test_left_in_the_middle_nothing_stays(server, recognizer_of):
    closed = asyncio.Event()

    async def microphone() -> AsyncIterator[bytes]:
        try:
            async for piece in audio_of(speech(1)):
                yield piece
            await asyncio.Event().wait()
        finally:
            closed.set()

    tasks = asyncio.all_tasks()
    transcripts = recognizer_of(STREAMING).recognize(microphone())
    assert (await anext(transcripts)).text
    await transcripts.aclose()
    assert closed.is_set()
    async with asyncio.timeout(3):
        while server.connections_open or asyncio.all_tasks() - tasks:
            await asyncio.sleep(0.01)


async def test_a_failing_microphone_ends_it(recognizer_of):
    async def microphone() -> AsyncIterator[bytes]:
        yield speech(0.5)
        raise LookupError("unplugged")

    with pytest.raises(LookupError):
        async for _ in recognizer_of(STREAMING).recognize(microphone()):
            pass


async def test_an_unknown_model(recognizer_of):
    with pytest.raises(ProviderError, match="Model not found") as error:
        await heard(recognizer_of("paraformer-realtime-v9"), speech(1))
    assert error.value.reason == "bad_request"


# Whole utterances


async def test_a_whole_utterance_is_one_request(server, recognizer_of):
    server.always("chat", Behaviour(text=" 孔明先生 "))
    recognizer = recognizer_of(WHOLE, workspace="ws-1")
    assert not recognizer.capabilities.streaming
    transcripts = await heard(recognizer, speech(1))
    assert transcripts == [Transcript("孔明先生", is_final=True, language="zh")]
    request = server.last("chat")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["x-dashscope-workspace"] == "ws-1"
    assert request.model == WHOLE
    assert request.seconds == pytest.approx(1, abs=0.01)


async def test_it_goes_as_wav_with_the_language(server, recognizer_of):
    await heard(recognizer_of(WHOLE), speech(1), language="en")
    body = server.last("chat").parameters
    assert body["asr_options"] == {"enable_itn": True, "language": "en"}
    head, _, data = body["messages"][0]["content"][0]["input_audio"]["data"].partition(",")
    assert head == "data:audio/wav;base64"
    assert voiced.wav_facts(base64.b64decode(data)) == (1.0, True)


async def test_a_whole_silence_is_empty(recognizer_of):
    assert (await heard(recognizer_of(WHOLE), silence(2)))[-1].text == ""


async def test_more_than_it_takes_is_refused_before_it_is_sent(server, recognizer_of):
    recognizer = recognizer_of(WHOLE)
    too_long = int(recognizer.capabilities.max_seconds + 1)

    async def microphone() -> AsyncIterator[bytes]:
        for _ in range(too_long):
            yield bytes(RATE * 2)

    with pytest.raises(ProviderError, match="no more than") as error:
        async for _ in recognizer.recognize(microphone()):
            pass
    assert error.value.reason == "bad_request"
    assert server.count("chat", "started") == 0


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(status=401), "auth"),
        (Behaviour(status=403, code="access_denied"), "auth"),
        (Behaviour(status=400, code="Arrearage"), "billing"),
        (Behaviour(status=400, code="data_inspection_failed"), "refused"),
        (Behaviour(status=404, code="model_not_found"), "bad_request"),
        (Behaviour(status=503), "unavailable"),
        (Behaviour(fault="drop_start"), "unavailable"),
        (Behaviour(fault="invalid_json"), "unavailable"),
    ],
)
async def test_failures_of_a_whole_utterance(server, recognizer_of, behaviour, reason):
    server.next("chat", behaviour)
    with pytest.raises(ProviderError) as error:
        await heard(recognizer_of(WHOLE), speech(1))
    assert error.value.reason == reason
    assert KEY not in str(error.value)


async def test_a_whole_utterance_waits_for_a_rate_limit(server, recognizer_of):
    server.next("chat", Behaviour(status=429))
    assert (await heard(recognizer_of(WHOLE), speech(1)))[-1].text
    assert server.count("chat", "started") == 2


async def test_the_pace_of_the_service_is_its_own(server, recognizer_of):
    server.always("asr", Behaviour(pace=Pace(asr_ms=300)))
    assert (await heard(recognizer_of(STREAMING), speech(1)))[-1].text
