"""The loopback DashScope is what it plays: the official SDK finds nothing odd about it."""

import asyncio
import base64
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dashscope
import httpx
import openai
import pytest
from dashscope import MultiModalConversation
from dashscope.audio.asr import Recognition, RecognitionCallback, Transcription
from dashscope.audio.http_tts import HttpSpeechSynthesizer
from dashscope.audio.qwen_asr import QwenTranscription
from dashscope.audio.tts_v2 import AudioFormat, ResultCallback, SpeechSynthesizer
from dashscope.common.error import RequestFailure

from tests.servers import voiced
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_audio import facts
from tests.servers.dashscope_behaviour import Behaviour, Pace
from tests.servers.dashscope_recognition import TRANSCRIPT
from tests.servers.openai_answers import REPLY
from voice.audio.codecs import wav_bytes

MODEL, VOICE = "cosyvoice-v3-flash", "longanyang"
PIECES = ("今天天", "气怎么样？", "我想去", "看海。")
SECONDS = voiced.seconds_of("今天天气怎么样？我想去看海。")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key="sk-right") as running:
        monkeypatch.setattr(dashscope, "api_key", "sk-right")
        monkeypatch.setattr(dashscope, "base_websocket_api_url", running.websocket_url)
        monkeypatch.setattr(dashscope, "base_http_api_url", running.http_url)
        yield running


@pytest.fixture
async def client(server: DashScopeServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=server.compatible_url, api_key="sk-right", max_retries=0, timeout=5
    ) as sdk:
        yield sdk


def spoken(
    *pieces: str,
    audio_format: AudioFormat = AudioFormat.DEFAULT,
    callback: ResultCallback | None = None,
    flush_after: int | None = None,
    cancel: bool = False,
    **options: Any,
) -> tuple[bytes, SpeechSynthesizer]:
    """One streamed synthesis by the SDK, in a thread; without a callback the whole audio."""
    data = bytearray()

    class Collect(ResultCallback):
        def on_data(self, data_: bytes) -> None:
            data.extend(data_)

    given = {"model": MODEL, "voice": VOICE} | options
    sdk = SpeechSynthesizer(format=audio_format, callback=callback or Collect(), **given)
    for number, piece in enumerate(pieces):
        sdk.streaming_call(piece)
        if number == flush_after:
            sdk.streaming_flush()
    if cancel:
        sdk.streaming_cancel(5_000)
    else:
        sdk.streaming_complete(5_000)
    return bytes(data), sdk


class Heard(ResultCallback):
    """Everything a callback is told."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.usages: list[int] = []
        self.errors: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.failed = threading.Event()

    def on_event(self, message: str) -> None:
        payload = json.loads(message)["payload"]
        self.outputs.append(payload["output"])
        if "usage" in payload:
            self.usages.append(payload["usage"]["characters"])

    def on_data(self, data: bytes) -> None:
        self.audio += data

    def on_error(self, message: str) -> None:
        self.errors.append(json.loads(message)["header"])
        self.failed.set()


# Synthesis by the task protocol


@pytest.mark.parametrize(
    ("audio_format", "magic"),
    [
        (AudioFormat.DEFAULT, b"\xff"),  # MP3 at 22 050 Hz
        (AudioFormat.MP3_24000HZ_MONO_256KBPS, b"\xff"),
        (AudioFormat.WAV_24000HZ_MONO_16BIT, b"RIFF"),
        (AudioFormat.OGG_OPUS_24KHZ_MONO_32KBPS, b"OggS"),
    ],
)
async def test_every_format_is_one_stream_that_decodes(
    server: DashScopeServer, audio_format: AudioFormat, magic: bytes
) -> None:
    data, _ = await asyncio.to_thread(spoken, *PIECES, audio_format=audio_format)
    assert data.startswith(magic)
    assert data.count(b"RIFF") <= 1
    if magic == b"RIFF":  # its sizes say "until the end"
        data = wav_bytes(data[44:], 24_000)
    seconds, sound = facts(data)
    assert sound
    assert seconds == pytest.approx(SECONDS, abs=0.15)
    assert server.last("tts").texts == list(PIECES)
    assert server.last("tts").outcome == "finished"


async def test_pcm_is_as_long_as_the_text_and_twice_as_short_at_rate_two(
    server: DashScopeServer,
) -> None:
    pcm = AudioFormat.PCM_16000HZ_MONO_16BIT
    slow, _ = await asyncio.to_thread(spoken, *PIECES, audio_format=pcm)
    fast, _ = await asyncio.to_thread(spoken, *PIECES, audio_format=pcm, speech_rate=2.0)
    assert len(slow) / 32_000 == pytest.approx(SECONDS, abs=0.01)
    assert len(fast) / 32_000 == pytest.approx(SECONDS / 2, abs=0.01)


async def test_events_tell_sentences_and_what_is_billed_so_far(server: DashScopeServer) -> None:
    heard = Heard()
    options = {"word_timestamp_enabled": True}
    await asyncio.to_thread(spoken, *PIECES, callback=heard, additional_params=options)
    ends = [each for each in heard.outputs if each["type"] == "sentence-end"]
    assert [each["original_text"] for each in ends] == ["今天天气怎么样？", "我想去看海。"]
    assert [each["sentence"]["index"] for each in ends] == [0, 1]
    assert heard.outputs[0]["type"] == "sentence-begin"
    assert "sentence-synthesis" in {each["type"] for each in heard.outputs}
    assert heard.usages == [7 * 2 + 1, 7 * 2 + 1 + 5 * 2 + 1]  # a Han character is two
    words = [word for each in ends for word in each["sentence"]["words"]]
    assert "".join(word["text"] for word in words) == "今天天气怎么样我想去看海"
    assert [w["begin_time"] for w in words] == sorted(w["begin_time"] for w in words)
    assert words[-1]["end_time"] <= SECONDS * 1000


async def test_call_speaks_ssml_without_its_tags(server: DashScopeServer) -> None:
    sdk = SpeechSynthesizer(MODEL, VOICE)
    ssml = '<speak rate="1.1">今天<break time="50ms"/>天气。</speak>'
    data = await asyncio.to_thread(sdk.call, ssml, 5_000)
    seconds, sound = facts(data)
    assert sound
    assert seconds == pytest.approx(voiced.seconds_of("今天天气。"), abs=0.15)
    assert server.last("tts").characters == 9
    assert sdk.get_response()["payload"]["usage"]["characters"] == 9


@pytest.mark.parametrize(
    ("options", "pieces", "code", "message"),
    [
        ({"voice": "longxiaochun_v2"}, ("你好。",), "InvalidParameter", "418"),
        ({"voice": "nobody"}, ("你好。",), "InvalidParameter", "418"),
        ({"model": "cosyvoice-v9"}, ("你好。",), "ModelNotFound", "cosyvoice-v9"),
        ({"volume": 101}, ("你好。",), "InvalidParameter", "volume"),
        (
            {"additional_params": {"enable_ssml": True}},
            ("你好。", "再见。"),
            "InvalidParameter",
            "Text request limit violated, expected 1.",
        ),
        (
            {"model": "cosyvoice-v1", "voice": "longwan", "additional_params": {"enable_ssml": 1}},
            ("<speak>你好。</speak>",),
            "InvalidParameter",
            "SSML text is not supported at the moment!",
        ),
        (
            {"additional_params": {"enable_ssml": True}},
            ("<speak>你好。<speak>",),
            "InvalidParameter",
            "411",
        ),
        ({}, ("你" * 10_001,), "InvalidParameter", "limit"),
        ({}, ("🙂。",), "InvalidParameter", "411"),
    ],
)
async def test_what_the_vendor_refuses_fails_the_task(
    server: DashScopeServer,
    options: dict[str, Any],
    pieces: tuple[str, ...],
    code: str,
    message: str,
) -> None:
    def error() -> dict[str, Any]:
        heard = Heard()
        # The service closes the connection with the error: the SDK may not be through sending.
        with contextlib.suppress(RequestFailure, ConnectionError):
            spoken(*pieces, callback=heard, **options)
        assert heard.failed.wait(5)
        return heard.errors[0]

    told = await asyncio.to_thread(error)
    assert told["error_code"] == code
    assert message in told["error_message"]
    assert server.last("tts").outcome == "failed"


async def test_a_failure_in_the_middle_is_told_after_some_audio(server: DashScopeServer) -> None:
    fails = Behaviour(
        fault="fail_middle", sentence=1, code="Throttling", message="Too much.",
        pace=Pace(first_audio_ms=100),  # the SDK is through sending by then
    )  # fmt: skip
    server.always("tts", fails)
    heard = Heard()
    await asyncio.to_thread(spoken, *PIECES, callback=heard)
    told = heard.errors[0]
    assert (told["error_code"], told["error_message"]) == ("Throttling", "Too much.")
    assert heard.usages == [15]
    assert heard.audio
    with pytest.raises(RequestFailure) as caught:
        await asyncio.to_thread(SpeechSynthesizer(MODEL, VOICE).call, "".join(PIECES), 5_000)
    assert (caught.value.name, caught.value.message) == ("Throttling", "Too much.")


async def test_flush_speaks_half_a_sentence_and_cancel_ends_early(server: DashScopeServer) -> None:
    heard = Heard()
    await asyncio.to_thread(spoken, "我想", "去看海。", callback=heard, flush_after=0)
    texts = [each["original_text"] for each in heard.outputs if each["type"] == "sentence-end"]
    assert texts == ["我想", "去看海。"]
    server.next("tts", Behaviour(pace=Pace(speech_rate=1)))
    data, _ = await asyncio.to_thread(
        spoken, "很长很长的一句话，" * 20 + "完。", audio_format=AudioFormat.PCM_8000HZ_MONO_16BIT,
        cancel=True,
    )  # fmt: skip
    assert server.last("tts").outcome == "cancelled"
    assert len(data) / 16_000 < 10


# Recognition by the task protocol


class Transcribed(RecognitionCallback):
    def __init__(self) -> None:
        self.sentences: list[dict[str, Any]] = []
        self.usages: list[Any] = []
        self.errors: list[Any] = []
        self.completed = False

    def on_event(self, result: Any) -> None:
        self.sentences.append(result.get_sentence())
        self.usages.append(result.get_usage(result.get_sentence()))

    def on_error(self, result: Any) -> None:
        self.errors.append(result)

    def on_complete(self) -> None:
        self.completed = True


def recognise(pcm: bytes, **options: Any) -> Transcribed:
    heard = Transcribed()
    given: dict[str, Any] = {"model": "paraformer-realtime-v2", "format": "pcm"} | options
    sdk = Recognition(callback=heard, sample_rate=16_000, **given)
    sdk.start()
    for start in range(0, len(pcm), 3_200):
        sdk.send_audio_frame(pcm[start : start + 3_200])
    sdk.stop()
    return heard


async def test_speech_comes_back_as_interim_and_final_sentences(server: DashScopeServer) -> None:
    server.next("asr", Behaviour(text="你好吗？我很好。"))
    silence = bytes(32_000)
    pcm = voiced.pcm(1.5, 16_000) + silence + voiced.pcm(1, 16_000)
    heard = await asyncio.to_thread(recognise, pcm, language_hints=["zh"])
    finals = [s for s in heard.sentences if s["sentence_end"]]
    assert [final["text"] for final in finals] == ["你好吗？", "我很好。"]
    assert finals[0]["begin_time"] == 0
    assert finals[0]["end_time"] == pytest.approx(1_500, abs=100)
    assert finals[1]["begin_time"] == pytest.approx(2_500, abs=100)
    interim = [s["text"] for s in heard.sentences if not s["sentence_end"]]
    assert interim
    assert all(text in "你好吗？我很好。" for text in interim)
    assert [usage for usage in heard.usages if usage] == [{"duration": 3}, {"duration": 4}]
    assert heard.completed
    assert not heard.errors
    assert server.last("asr").parameters["language_hints"] == ["zh"]


async def test_a_file_is_recognised_at_once(server: DashScopeServer, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(wav_bytes(voiced.pcm(2, 16_000), 16_000))
    sdk = Recognition("fun-asr-realtime", RecognitionCallback(), "wav", 16_000)
    result = await asyncio.to_thread(sdk.call, str(file))
    assert [sentence["text"] for sentence in result.get_sentence()] == [TRANSCRIPT]
    assert result.usage == {"duration": 2}
    assert server.last("asr").seconds == pytest.approx(2)


@pytest.mark.parametrize(
    ("pcm", "options", "code"),
    [
        (bytes(32_000), {}, "NO_VALID_AUDIO_ERROR"),
        (b"", {}, "NO_INPUT_AUDIO_ERROR"),
        (bytes(3_200), {"format": "flac"}, "UNSUPPORTED_FORMAT"),
        (bytes(3_200), {"model": "nothing"}, "ModelNotFound"),
    ],
)
async def test_recognition_refuses(
    server: DashScopeServer, pcm: bytes, options: dict[str, Any], code: str
) -> None:
    heard = await asyncio.to_thread(recognise, pcm, **options)
    assert [error.code for error in heard.errors] == [code]
    assert not heard.completed


async def test_a_wrong_key_is_told_to_recognition_at_once(
    server: DashScopeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashscope, "api_key", "sk-wrong")
    started = time.monotonic()
    heard = await asyncio.to_thread(recognise, bytes(3_200))
    assert [error.status_code for error in heard.errors] == [401]
    assert time.monotonic() - started < 5
    assert server.count("asr", "started") == 0


# Over HTTP


async def test_http_synthesis_gives_a_url(server: DashScopeServer) -> None:
    result = await asyncio.to_thread(
        HttpSpeechSynthesizer.call, MODEL, "你好，今天天气怎么样？", VOICE, "mp3"
    )
    assert result.status_code == 200
    assert result.expires_at > time.time()
    assert result.usage["characters"] == 9 * 2 + 2
    async with httpx.AsyncClient() as http:
        answer = await http.get(result.audio_url)
    assert answer.headers["Content-Type"] == "audio/mpeg"
    seconds, sound = facts(answer.content)
    assert sound
    assert seconds == pytest.approx(voiced.seconds_of("你好，今天天气怎么样？"), abs=0.15)


async def test_http_synthesis_as_events(server: DashScopeServer) -> None:
    def collect() -> list[Any]:
        text = "今天天气怎么样？我想去看海。"
        return list(HttpSpeechSynthesizer.call(MODEL, text, VOICE, "pcm", 16_000, stream=True))

    parts = await asyncio.to_thread(collect)
    assert parts[-1].audio_url
    pieces = b"".join(part.audio_data for part in parts[:-1])
    assert pieces == parts[-1].audio_data
    assert len(pieces) / 32_000 == pytest.approx(SECONDS, abs=0.01)
    assert {sentence["index"] for sentence in parts[-1].sentences} == {0, 1}


@pytest.mark.parametrize(
    ("behaviour", "voice", "status", "code"),
    [
        (Behaviour(status=429), VOICE, 429, "Throttling.RateQuota"),
        (Behaviour(status=503), VOICE, 503, "ServiceUnavailable"),
        (Behaviour(status=400, code="DataInspectionFailed"), VOICE, 400, "DataInspectionFailed"),
        (Behaviour(), "longxiaochun_v2", 400, "InvalidParameter"),
    ],
)
async def test_http_synthesis_tells_its_errors(
    server: DashScopeServer, behaviour: Behaviour, voice: str, status: int, code: str
) -> None:
    server.next("speech", behaviour)
    result = await asyncio.to_thread(HttpSpeechSynthesizer.call, MODEL, "你好。", voice)
    assert (result.status_code, result.code) == (status, code)


def data_url(seconds: float) -> str:
    wav = wav_bytes(voiced.pcm(seconds, 16_000), 16_000)
    return "data:audio/wav;base64," + base64.b64encode(wav).decode()


async def test_an_utterance_in_the_native_form(server: DashScopeServer) -> None:
    answer = await asyncio.to_thread(
        MultiModalConversation.call,
        model="qwen3-asr-flash",
        messages=[{"role": "user", "content": [{"audio": data_url(2)}]}],
        asr_options={"language": "zh", "enable_itn": False},
    )
    assert answer.status_code == 200
    message = answer.output.choices[0].message
    assert message.content[0]["text"] == TRANSCRIPT
    assert message.annotations[0]["language"] == "zh"
    assert answer.usage["seconds"] == 2
    assert server.last("multimodal").parameters["parameters"]["asr_options"]["language"] == "zh"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_utterance_in_the_openai_mode(
    client: openai.AsyncOpenAI, server: DashScopeServer, stream: bool
) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": data_url(2)}}
    answer: Any = await client.chat.completions.create(
        model="qwen3-asr-flash",
        messages=[{"role": "user", "content": [audio]}],  # type: ignore[list-item, misc]
        stream=stream,
        extra_body={"asr_options": {"language": "zh", "enable_itn": True}},
    )
    if stream:
        chunks = [chunk async for chunk in answer]
        text = "".join(each.choices[0].delta.content or "" for each in chunks)
    else:
        text = answer.choices[0].message.content
        assert answer.usage.seconds == 2
    assert text == TRANSCRIPT
    assert server.last("chat").parameters["asr_options"] == {"language": "zh", "enable_itn": True}


async def test_qwen_answers_in_the_openai_mode_and_errors_have_its_envelope(
    client: openai.AsyncOpenAI, server: DashScopeServer
) -> None:
    ask: Any = {"model": "qwen-plus", "messages": [{"role": "user", "content": "你好"}]}
    answer = await client.chat.completions.create(**ask)
    assert answer.choices[0].message.content == REPLY
    server.next("chat", Behaviour(status=429, retry_after="2"))
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(**ask)
    assert limited.value.response.headers["Retry-After"] == "2"
    assert limited.value.code == "Throttling.RateQuota"
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").chat.completions.create(**ask)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(**(ask | {"model": "gpt-4"}))


# Jobs over files


async def test_a_job_transcribes_files_by_url(server: DashScopeServer) -> None:
    def transcribe() -> tuple[Any, Any]:
        speech = HttpSpeechSynthesizer.call(MODEL, "今天天气怎么样？", VOICE, "mp3")
        both = [speech.audio_url, f"{server.url}/results/missing.mp3"]
        several = Transcription.call("paraformer-v2", both)
        return several, QwenTranscription.call("qwen3-asr-flash-filetrans", both[0])

    several, one = await asyncio.to_thread(transcribe)
    assert several.output["task_status"] == "SUCCEEDED"
    good, bad = several.output["results"]
    assert (good["subtask_status"], bad["subtask_status"]) == ("SUCCEEDED", "FAILED")
    assert bad["code"] == "FILE_DOWNLOAD_FAILED"
    assert several.usage["duration"] == 2
    async with httpx.AsyncClient() as http:
        for url in (good["transcription_url"], one.output["result"]["transcription_url"]):
            written = (await http.get(url)).json()
            assert written["transcripts"][0]["text"] == TRANSCRIPT


async def test_a_job_fails_and_an_unknown_one_is_unknown(server: DashScopeServer) -> None:
    missing = f"{server.url}/results/missing.mp3"
    job = await asyncio.to_thread(Transcription.call, "paraformer-v2", [missing])
    assert job.output["task_status"] == "FAILED"
    assert job.output["code"] == "FILE_DOWNLOAD_FAILED"
    other = await asyncio.to_thread(Transcription.fetch, "no-such-job")
    assert other.output["task_status"] == "UNKNOWN"
