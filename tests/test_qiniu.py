"""Qiniu's voices, synthesis and recognition, over real sockets."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from chat.llm.base import Completion, Prompt, PromptMessage
from chat.llm.openai import OpenAILanguageModel
from config.checks import providers_can_be_built
from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_answers import REPLY, TRANSCRIPT
from tests.servers.qiniu import QiniuServer
from tests.servers.qiniu_answers import VOICES
from voice import speech
from voice.asr.base import Transcript
from voice.asr.qiniu import QiniuRecognizer
from voice.errors import ProviderError
from voice.qiniu.config import QiniuConfig, Transport
from voice.qiniu.voices import list_voices
from voice.tts.base import VoiceRef
from voice.tts.qiniu import QiniuSynthesizer

KEY = "sk-secret-key"
VOICE = VoiceRef("qiniu", VOICES[0][0])
TEXT = "久仰久仰，今日得见，实是幸会。"
SECONDS = voiced.seconds_of(TEXT)
LONG = "".join(f"第{number}回，话说天下大势，分久必合，合久必分。" for number in range(60))
LOUD = 8_000

# behaviour, reason, asking again helps
REFUSALS = [
    (Behaviour(status=401), "auth", False),
    (Behaviour(status=403), "auth", False),
    (Behaviour(status=429), "rate_limited", True),
    (Behaviour(status=400), "bad_request", False),
    (Behaviour(status=500), "unavailable", True),
    (Behaviour(status=503), "unavailable", True),
    (Behaviour(fault="drop_before"), "unavailable", True),
    (Behaviour(fault="stall_before"), "timeout", True),
]


@pytest.fixture
async def server() -> AsyncIterator[QiniuServer]:
    async with QiniuServer(api_key=KEY) as running:
        yield running


def config(server: QiniuServer, transport: Transport = "websocket") -> QiniuConfig:
    return QiniuConfig(KEY, server.base_url, transport)


@pytest.fixture(params=["websocket", "http"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def synthesizer(server: QiniuServer, transport: Transport) -> AsyncIterator[QiniuSynthesizer]:
    adapter = QiniuSynthesizer(config(server, transport), connect_timeout=0.4, read_timeout=0.4)
    yield adapter
    await adapter.aclose()


@pytest.fixture
async def patient(server: QiniuServer, transport: Transport) -> AsyncIterator[QiniuSynthesizer]:
    """Waits as long as in service, for texts that take the loopback server its time."""
    adapter = QiniuSynthesizer(config(server, transport))
    yield adapter
    await adapter.aclose()


@pytest.fixture
async def recognizer(server: QiniuServer) -> AsyncIterator[QiniuRecognizer]:
    adapter = QiniuRecognizer(config(server), connect_timeout=0.4, read_timeout=0.4, settled=0.2)
    yield adapter
    await adapter.aclose()


async def said(seconds: float, *, silent: bool = False) -> AsyncIterator[bytes]:
    pcm = bytes(int(seconds * 16_000) * 2) if silent else voiced.pcm(seconds, 16_000)
    for start in range(0, len(pcm), 3_200):
        yield pcm[start : start + 3_200]


async def until(server: QiniuServer, endpoint: str, outcome: str) -> None:
    async with asyncio.timeout(3):
        while not server.count(endpoint, outcome):  # type: ignore[arg-type]
            await asyncio.sleep(0.005)


def seconds_of(pcm: bytes) -> float:
    return len(pcm) / 2 / 24_000


# Synthesis


@pytest.mark.parametrize("piece_bytes", [100, 4_800])
async def test_speech_comes_whole_in_even_pieces(
    server: QiniuServer, synthesizer: QiniuSynthesizer, piece_bytes: int
) -> None:
    server.next("speech", Behaviour(piece_bytes=piece_bytes))
    pieces = [piece async for piece in synthesizer.synthesize(TEXT, voice=VOICE)]
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    pcm = b"".join(pieces)
    assert abs(seconds_of(pcm) - SECONDS) < 0.15
    assert np.abs(np.frombuffer(pcm, "<i2")).max() > LOUD
    request = server.last("speech")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body["audio"] == {
        "voice_type": VOICE.name,
        "encoding": "mp3",
        "speed_ratio": 1.0,
    }
    assert request.body["request"] == {"text": TEXT}


async def test_a_websocket_names_the_voice_in_its_handshake(server: QiniuServer) -> None:
    synthesizer = QiniuSynthesizer(config(server))
    assert [piece async for piece in synthesizer.synthesize("好。", voice=VOICE)]
    assert server.last("speech").headers["VoiceType"] == VOICE.name
    await synthesizer.aclose()


async def test_speed_is_passed_on(server: QiniuServer, synthesizer: QiniuSynthesizer) -> None:
    fast = [piece async for piece in synthesizer.synthesize(TEXT, voice=VOICE, speed=2.0)]
    assert abs(seconds_of(b"".join(fast)) - SECONDS / 2) < 0.15
    assert server.last("speech").body["audio"]["speed_ratio"] == 2.0


async def test_long_text_goes_in_short_requests_and_comes_in_order(
    server: QiniuServer, patient: QiniuSynthesizer
) -> None:
    # The first request is the slowest: what is begun after it must wait for its turn.
    server.next("speech", Behaviour(pace=Pace(tts_first_ms=300)))
    heard: list[bytes] = []
    async for piece in patient.synthesize(LONG, voice=VOICE):
        if not heard:
            assert server.count("speech", "started") == 4
        heard.append(piece)
    texts = [each.body["request"]["text"] for each in server.script.exchanges]
    assert len(texts) > 4
    assert all(len(text) <= 300 and text.endswith("。") for text in texts)
    assert "".join(sorted(texts, key=LONG.index)) == LONG
    assert abs(seconds_of(b"".join(heard)) - voiced.seconds_of(LONG)) < 0.15 * len(texts)


async def test_the_first_audio_does_not_wait_for_the_rest(server: QiniuServer) -> None:
    """Over HTTP the first request is one sentence; over a WebSocket frames are played at once."""
    server.always("speech", Behaviour(pace=Pace(speech_rate=20), piece_bytes=2_000))
    text = "好。" + TEXT * 6
    for way in ("websocket", "http"):
        synthesizer = QiniuSynthesizer(config(server, way))  # type: ignore[arg-type]
        assert synthesizer.capabilities.streaming == (way == "websocket")
        started = time.monotonic()
        moments = [
            time.monotonic() - started async for _ in synthesizer.synthesize(text, voice=VOICE)
        ]
        assert moments[0] < 0.5 * moments[-1]
        await synthesizer.aclose()


async def test_a_later_request_that_fails_at_its_start_is_made_again(
    server: QiniuServer, patient: QiniuSynthesizer
) -> None:
    # Four at once: the fifth begins when the first is read.
    server.next("speech", *[Behaviour()] * 4, Behaviour(status=503, retry_after="0"))
    pieces = [piece async for piece in patient.synthesize(LONG, voice=VOICE)]
    texts = {each.body["request"]["text"] for each in server.script.exchanges if each.body}
    assert server.count("speech", "started") == len(texts) + 1
    assert abs(seconds_of(b"".join(pieces)) - voiced.seconds_of(LONG)) < 0.15 * len(texts)


@pytest.mark.parametrize(
    ("behaviour", "reason", "retryable"),
    [
        *REFUSALS,
        (Behaviour(fault="stall_first"), "timeout", True),
    ],
)
async def test_failures_before_the_first_sound(
    server: QiniuServer,
    synthesizer: QiniuSynthesizer,
    behaviour: Behaviour,
    reason: str,
    retryable: bool,
) -> None:
    server.next("speech", behaviour, behaviour)  # aiohttp repeats a handshake that is cut off
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=VOICE))
    error = caught.value
    assert (error.provider, error.reason, error.retryable) == ("qiniu", reason, retryable)
    assert KEY not in str(error)


async def test_a_retry_after_is_heeded(server: QiniuServer, synthesizer: QiniuSynthesizer) -> None:
    server.next("speech", Behaviour(status=429, retry_after="7"))
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=VOICE))
    assert (caught.value.retry_after, caught.value.status) == (7.0, 429)


async def test_a_voice_that_is_not_there(synthesizer: QiniuSynthesizer) -> None:
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=VoiceRef("qiniu", "qiniu_zh_male_wwxkjx")))
    assert (caught.value.reason, caught.value.retryable) == ("bad_request", False)


async def test_a_wrong_key(server: QiniuServer, transport: Transport) -> None:
    synthesizer = QiniuSynthesizer(QiniuConfig("sk-wrong", server.base_url, transport))
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=VOICE))
    assert caught.value.reason == "auth"
    assert "sk-wrong" not in str(caught.value)
    await synthesizer.aclose()


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(fault="drop_middle"),
        Behaviour(fault="stall_middle"),
        Behaviour(fault="no_finish"),
        Behaviour(fault="invalid_json"),
        Behaviour(fault="error_event", code="500"),
    ],
    ids=lambda behaviour: behaviour.fault,
)
async def test_speech_that_breaks_off_is_incomplete(
    server: QiniuServer, behaviour: Behaviour
) -> None:
    synthesizer = QiniuSynthesizer(config(server), read_timeout=0.4)
    server.next("speech", behaviour)
    told = b""
    with pytest.raises(ProviderError) as caught:
        async for piece in synthesizer.synthesize(TEXT, voice=VOICE):
            told += piece
    assert len(told) > 0
    assert (caught.value.reason, caught.value.retryable) == ("incomplete", False)
    await synthesizer.aclose()


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("drop_middle", None, "unavailable"),
        ("stall_middle", None, "timeout"),
        ("invalid_json", None, "unavailable"),
        ("error_event", "quota_exceeded_error", "rate_limited"),
    ],
)
async def test_half_an_answer_over_http_is_not_played(
    server: QiniuServer, fault: str, code: str | None, reason: str
) -> None:
    synthesizer = QiniuSynthesizer(config(server, "http"), read_timeout=0.4)
    server.next("speech", Behaviour(fault=fault, code=code))  # type: ignore[arg-type]
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=VOICE))
    assert caught.value.reason == reason
    await synthesizer.aclose()


async def test_closing_speech_closes_every_connection(
    server: QiniuServer, patient: QiniuSynthesizer
) -> None:
    server.always("speech", Behaviour(pace=Pace(speech_rate=20), piece_bytes=2_000))
    stream = patient.synthesize(LONG, voice=VOICE)
    assert await anext(stream)
    async with asyncio.timeout(2):
        while server.count("speech", "started") < 4:
            await asyncio.sleep(0.005)
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(3):
        while server.count("speech", "finished") + server.count("speech", "cancelled") < 4:
            await asyncio.sleep(0.005)
    assert server.count("speech", "cancelled") >= 3


async def test_segments_over_http_use_one_connection_again(server: QiniuServer) -> None:
    synthesizer = QiniuSynthesizer(config(server, "http"))
    for _ in range(3):
        assert [piece async for piece in synthesizer.synthesize("好。", voice=VOICE)]
    assert len({exchange.peer for exchange in server.script.exchanges}) == 1
    await synthesizer.aclose()


# Recognition


async def test_audio_is_streamed_and_the_text_grows(
    server: QiniuServer, recognizer: QiniuRecognizer
) -> None:
    found = [each async for each in recognizer.recognize(said(2), language="zh")]
    *partial, final = found
    assert final == Transcript(TRANSCRIPT, is_final=True, language="zh")
    assert len(partial) > 3
    assert not any(each.is_final for each in partial)
    assert all(TRANSCRIPT.startswith(each.text) for each in partial)
    assert [len(each.text) for each in partial] == sorted({len(each.text) for each in partial})
    request = server.last("transcriptions")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body["pcm"] == voiced.pcm(2, 16_000)
    assert request.body["config"]["request"] == {"model_name": "asr", "enable_punc": True}
    await until(server, "transcriptions", "finished")


async def test_partial_text_comes_while_the_person_speaks(
    server: QiniuServer, recognizer: QiniuRecognizer
) -> None:
    heard = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield voiced.pcm(1, 16_000)
        await heard.wait()  # the rest is only said once something was understood
        yield voiced.pcm(1, 16_000)

    found = []
    async with asyncio.timeout(3):
        async for each in recognizer.recognize(slowly()):
            found.append(each)
            heard.set()
    assert found[-1].text == TRANSCRIPT


async def test_a_text_that_stands_still_is_final(
    server: QiniuServer, recognizer: QiniuRecognizer
) -> None:
    """The service does not always mark its last result."""
    server.next("transcriptions", Behaviour(fault="no_finish"))
    started = time.monotonic()
    found = [each async for each in recognizer.recognize(said(1))]
    assert found[-1] == Transcript(TRANSCRIPT, is_final=True)
    assert time.monotonic() - started >= 0.2
    await until(server, "transcriptions", "finished")


async def test_a_pause_in_speaking_is_not_the_end(
    server: QiniuServer, recognizer: QiniuRecognizer
) -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield voiced.pcm(1, 16_000)
        await asyncio.sleep(0.5)  # longer than a text may stand still after the end
        yield voiced.pcm(1, 16_000)

    found = [each async for each in recognizer.recognize(pausing())]
    assert found[-1] == Transcript(TRANSCRIPT, is_final=True)
    assert len(server.last("transcriptions").body["pcm"]) == 64_000


@pytest.mark.parametrize("seconds", [0, 0.05])
async def test_hardly_any_audio_is_no_speech_and_no_request(
    server: QiniuServer, recognizer: QiniuRecognizer, seconds: float
) -> None:
    found = [each async for each in recognizer.recognize(said(seconds))]
    assert found == [Transcript("", is_final=True)]
    assert server.count("transcriptions", "started") == 0


async def test_silence_is_an_empty_transcript(recognizer: QiniuRecognizer) -> None:
    found = [each async for each in recognizer.recognize(said(1, silent=True))]
    assert found == [Transcript("", is_final=True)]


async def test_audio_without_end_is_refused(recognizer: QiniuRecognizer) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(320_000)

    with pytest.raises(ProviderError) as caught:
        _ = [each async for each in recognizer.recognize(endless())]
    assert caught.value.reason == "bad_request"


@pytest.mark.parametrize(
    ("behaviour", "reason", "retryable"),
    [
        *REFUSALS,
        (Behaviour(fault="stall_first"), "timeout", True),
        (Behaviour(fault="error_event", code="45000001"), "bad_request", False),
        (Behaviour(fault="error_event", code="55000031"), "unavailable", True),
        (Behaviour(fault="error_event", code="429"), "rate_limited", True),
        (Behaviour(fault="error_event", code="1"), "unavailable", True),
        (Behaviour(fault="invalid_json"), "unavailable", True),
        (Behaviour(fault="drop_middle"), "unavailable", True),
    ],
)
async def test_failures_of_recognition(
    server: QiniuServer,
    recognizer: QiniuRecognizer,
    behaviour: Behaviour,
    reason: str,
    retryable: bool,
) -> None:
    server.next("transcriptions", behaviour, behaviour)
    with pytest.raises(ProviderError) as caught:
        _ = [each async for each in recognizer.recognize(said(0.3))]
    error = caught.value
    assert (error.provider, error.reason, error.retryable) == ("qiniu", reason, retryable)
    assert KEY not in str(error)


@pytest.mark.parametrize("fault", ["drop_middle", "error_event", "invalid_json"])
async def test_recognition_that_breaks_off_is_incomplete(
    server: QiniuServer, recognizer: QiniuRecognizer, fault: str
) -> None:
    server.next("transcriptions", Behaviour(fault=fault))  # type: ignore[arg-type]
    last = None
    with pytest.raises(ProviderError) as caught:
        async for each in recognizer.recognize(said(2)):
            last = each
    assert last is not None
    assert not last.is_final
    assert (caught.value.reason, caught.value.retryable) == ("incomplete", False)


async def test_cancelling_recognition_closes_the_connection(server: QiniuServer) -> None:
    recognizer = QiniuRecognizer(config(server))
    server.next("transcriptions", Behaviour(fault="stall_first"))
    task = asyncio.create_task(anext(recognizer.recognize(said(1))))  # type: ignore[arg-type]
    await until(server, "transcriptions", "started")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(server, "transcriptions", "cancelled")
    await recognizer.aclose()


# The loopback server


async def test_as_a_process_steered_from_outside() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.servers.qiniu", "--api-key", KEY),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().strip()
        root = base_url.removesuffix("/v1")
        script = {"endpoint": "speech", "next": [{"status": 429, "retry_after": "3"}]}
        synthesizer = QiniuSynthesizer(QiniuConfig(KEY, base_url))
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{root}/control/script", json=script) as answer:
                assert answer.status == 200
            with pytest.raises(ProviderError) as caught:
                await anext(synthesizer.synthesize(TEXT, voice=VOICE))
            assert caught.value.retry_after == 3.0
            assert [piece async for piece in synthesizer.synthesize(TEXT, voice=VOICE)]
            recognizer = QiniuRecognizer(QiniuConfig(KEY, base_url))
            found = [each async for each in recognizer.recognize(said(1))]
            assert found[-1].text == TRANSCRIPT
            async with session.get(f"{root}/control/log") as answer:
                log = await answer.json()
        assert log["counts"]["speech"] == {"started": 2, "finished": 2}
        assert log["exchanges"][-1]["body"]["pcm"] == 32_000
        await synthesizer.aclose()
        await recognizer.aclose()
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_a_probe_costs_nothing_and_finds_a_wrong_key(
    server: QiniuServer, recognizer: QiniuRecognizer
) -> None:
    await recognizer.probe()
    assert server.count("voices", "finished") == 1
    wrong = QiniuSynthesizer(QiniuConfig("sk-wrong", server.base_url))
    with pytest.raises(ProviderError) as caught:
        await wrong.probe()
    assert caught.value.reason == "auth"
    await wrong.aclose()


# Voices, chat, settings


async def test_the_list_of_voices(server: QiniuServer) -> None:
    found = await list_voices(config(server))
    assert [(voice.voice_type, voice.voice_name, voice.category) for voice in found] == VOICES
    assert [(voice.language, voice.gender) for voice in found] == [
        ("zh", "female"),
        ("zh", "male"),
        ("en", "female"),
        ("multi", "male"),
    ]
    assert found[0].sample_url.endswith(f"/{VOICES[0][0]}.mp3")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(status=401), "auth"),
        (Behaviour(status=503), "unavailable"),
        (Behaviour(fault="invalid_json"), "unavailable"),
    ],
)
async def test_a_list_that_cannot_be_had(
    server: QiniuServer, behaviour: Behaviour, reason: str
) -> None:
    server.next("voices", behaviour)
    with pytest.raises(ProviderError) as caught:
        await list_voices(config(server))
    assert caught.value.reason == reason


async def test_its_language_models_need_the_base_url_alone(server: QiniuServer) -> None:
    model = OpenAILanguageModel(server.base_url, KEY, "deepseek-v3")
    prompt = Prompt((PromptMessage("user", "你好"),))
    *deltas, last = [item async for item in model.stream(prompt, max_tokens=400)]
    assert "".join(delta.text for delta in deltas) == REPLY  # type: ignore[union-attr]
    assert isinstance(last, Completion)
    await model.aclose()


def test_a_key_switches_it_on(settings) -> None:  # type: ignore[no-untyped-def]
    settings.ASR_PROVIDERS = settings.TTS_PROVIDERS = []
    settings.TTS_BASE_URL = settings.ASR_BASE_URL = "http://127.0.0.1:9/v1"
    settings.SPEECH = True
    settings.QINIU_API_KEY = KEY
    assert speech.tts_names().index("openai") < speech.tts_names().index("qiniu")
    assert speech.asr_names()[-2:] == ["qiniu", "local"]
    built = speech.provider_config("TTS").qiniu
    assert built == QiniuConfig(KEY, settings.QINIU_BASE_URL, "websocket")
    assert KEY not in repr(speech.provider_config("TTS"))
    settings.QINIU_API_KEY = ""
    assert "qiniu" not in speech.tts_names()


def test_a_wrong_setting_is_an_error_of_the_checks(settings) -> None:  # type: ignore[no-untyped-def]
    settings.QINIU_API_KEY = ""
    settings.TTS_PROVIDERS = ["qiniu"]
    settings.QINIU_BASE_URL = "api.qnaigc.com"
    found = {(each.id, each.msg) for each in providers_can_be_built(None)}
    assert ("liyuan.E004", "TTS_PROVIDERS names qiniu but QINIU_API_KEY is not set.") in found
    assert "liyuan.E005" in {each for each, _ in found}
