"""``POST /v1/audio/transcriptions``: forms of the answer, events, bad audio."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.audio_samples import FORMATS, sample
from tests.platform import ProviderProcess
from tests.processes import ServerProcess
from tests.servers.voiced import mp3, pcm, streamed_wav
from tests.v1.conftest import Caller, error_of

pytestmark = pytest.mark.system

HEARD = "今夜会有东风吗？亮观天象，今夜必有东风。"
LIMIT = 25 * 2**20


def listen(
    caller: Caller, file: bytes | None = None, name: str = "speech.mp3", **fields: Any
) -> httpx.Response:
    files = {"file": (name, sample("mp3", 2.0) if file is None else file)}
    data = {"model": "whisper-1", **fields}
    return caller.ask("POST", "/audio/transcriptions", files=files, data=data)


@pytest.fixture(autouse=True)
def _transcript(providers: ProviderProcess) -> None:
    providers.script("transcriptions", text=HEARD)


def test_json(caller: Caller):
    answer = listen(caller)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"text": HEARD, "usage": {"type": "duration", "seconds": 2}}


def test_text(caller: Caller):
    answer = listen(caller, response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == HEARD + "\n"


def test_srt(caller: Caller):
    first, second = listen(caller, response_format="srt").text.strip().split("\n\n")
    assert first.splitlines() == ["1", "00:00:00,000 --> 00:00:00,800", "今夜会有东风吗？"]
    assert second.splitlines() == ["2", "00:00:00,800 --> 00:00:02,000", "亮观天象，今夜必有东风。"]


def test_vtt(caller: Caller):
    answer = listen(caller, response_format="vtt")
    assert answer.headers["content-type"].startswith("text/vtt")
    head, first, _second = answer.text.strip().split("\n\n")
    assert head == "WEBVTT"
    assert first.splitlines() == ["00:00:00.000 --> 00:00:00.800", "今夜会有东风吗？"]


def test_verbose_json(caller: Caller):
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "segment"}
    body = listen(caller, language="zh", **fields).json()
    assert body["task"] == "transcribe"
    assert body["language"] == "chinese"
    assert body["duration"] == pytest.approx(2.0, abs=0.1)
    assert body["text"] == HEARD
    assert "".join(each["text"] for each in body["segments"]) == HEARD
    assert [each["id"] for each in body["segments"]] == [0, 1]
    assert body["segments"][1]["end"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", FORMATS)
def test_each_container(caller: Caller, name: str):
    answer = listen(caller, sample(name), f"a.{name}")
    assert answer.json()["text"] == HEARD, answer.text


def test_a_streamed_wav_and_a_wrong_name(caller: Caller):
    assert listen(caller, streamed_wav(pcm(1.0)), "speech.mp3").json()["text"] == HEARD


def test_as_events(caller: Caller):
    answer = listen(caller, stream="true")
    assert answer.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    deltas = [each["delta"] for each in events if each["type"] == "transcript.text.delta"]
    assert "".join(deltas) == HEARD
    assert events[-1]["type"] == "transcript.text.done"
    assert events[-1]["text"] == HEARD
    assert events[-1]["usage"] == {"type": "duration", "seconds": 2}


def test_hints_reach_the_provider(caller: Caller, providers: ProviderProcess):
    for named, hint in (("zh", "zh"), ("zh-CN", "zh"), ("EN", "en"), ("ja", None), ("", None)):
        assert listen(caller, language=named, prompt="东风", temperature="0.2").status_code == 200
        assert providers.log()["exchanges"][-1]["body"].get("language") == hint


def test_silence_is_an_empty_transcript(caller: Caller):
    silent = sample("wav", 2.0, hertz=0)
    for fields in ({}, {"response_format": "verbose_json"}, {"stream": "true"}):
        answer = listen(caller, silent, **fields)
        assert answer.status_code == 200
        assert HEARD not in answer.text
    assert listen(caller, silent).json()["text"] == ""
    assert listen(caller, silent, response_format="srt").text == ""
    assert listen(caller, silent, response_format="vtt").text == "WEBVTT\n"


def test_a_recording_of_minutes(caller: Caller):
    answer = listen(caller, mp3(pcm(300)))
    assert answer.json()["text"] == HEARD
    assert answer.json()["usage"]["seconds"] == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "empty"),
        (b"x" * 1000, "not audio"),
        (b"ID3" + b"\0" * 1000, ""),
        (sample("mp3")[:600], ""),
        (sample("flac")[:2000], ""),
        (sample("wav")[:1000], "cut short"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", ""),
        (b"<html></html>", "not audio"),
    ],
)
def test_broken_audio(caller: Caller, file: bytes, words: str):
    error = error_of(listen(caller, file), 400)
    assert (error["param"], error["code"]) == ("file", "invalid_value")
    assert words in error["message"]


def test_audio_that_is_too_long(caller: Caller):
    error = error_of(listen(caller, sample("ogg", 800.0)), 400)
    assert (error["param"], error["code"]) == ("file", "audio_too_long")


def test_25_mb_and_a_byte(caller: Caller):
    file = streamed_wav(pcm(100.0))
    file += b"\0" * (LIMIT - len(file))
    assert len(file) == LIMIT
    assert listen(caller, file).status_code in (200, 400)  # taken; its end may be too far
    error = error_of(listen(caller, file + b"\0"), 413)
    assert error["code"] == "request_too_large"


def test_far_more_than_25_mb_is_refused_by_its_head(caller: Caller):
    answer = listen(caller, b"\0" * (LIMIT + 2**20))
    error_of(answer, 413)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": ""}, "model", "model_not_found"),
        ({"response_format": "mp3"}, "response_format", "invalid_value"),
        ({"response_format": "diarized_json"}, "response_format", "invalid_value"),
        ({"temperature": "2"}, "temperature", "invalid_value"),
        ({"temperature": "warm"}, "temperature", "invalid_type"),
        ({"stream": "maybe"}, "stream", "invalid_type"),
        ({"stream": "true", "response_format": "srt"}, "stream", "invalid_value"),
        ({"language": "中文"}, "language", "invalid_value"),
        ({"prompt": "x" * 4097}, "prompt", "string_above_max_length"),
        (
            {"timestamp_granularities[]": "word"},
            "timestamp_granularities[]",
            "unsupported_parameter",
        ),
        ({"timestamp_granularities[]": "x"}, "timestamp_granularities[]", "invalid_value"),
    ],
)
def test_bad_fields(caller: Caller, fields: dict[str, str], param: str, code: str):
    error = error_of(listen(caller, **fields), 404 if code == "model_not_found" else 400)
    assert (error["param"], error["code"]) == (param, code)


def test_a_missing_model_or_file(caller: Caller):
    def ask(**options: Any) -> dict[str, Any]:
        return error_of(caller.ask("POST", "/audio/transcriptions", **options), 400)

    assert ask(files={"file": ("a.mp3", b"x")})["param"] == "model"
    assert ask(files={"other": ("a.mp3", b"x")}, data={"model": "whisper-1"})["param"] == "file"


def test_a_form_that_is_none(caller: Caller):
    for headers in (
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
    ):
        answer = caller.ask("POST", "/audio/transcriptions", content=b"--y\r\n", headers=headers)
        error_of(answer, 400)


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"status": 401}, 502, "provider_error"),
        ({"status": 429}, 429, "rate_limit_exceeded"),
        ({"status": 500}, 503, "provider_unavailable"),
        ({"fault": "drop_before"}, 503, "provider_unavailable"),
        ({"fault": "stall_before"}, 503, "provider_timeout"),
        ({"fault": "invalid_json"}, 503, "provider_unavailable"),
    ],
)
def test_a_failing_provider(
    caller: Caller,
    providers: ProviderProcess,
    server: ServerProcess,
    script: dict[str, Any],
    status: int,
    code: str,
):
    providers.script("transcriptions", **script)
    before = len(server.log())
    for stream in ("false", "true"):
        begun = time.monotonic()
        assert error_of(listen(caller, stream=stream), status)["code"] == code
        assert time.monotonic() - begun < 6
    assert "Traceback" not in server.log()[before:]


def test_use_is_written_down(another: Caller):
    assert listen(another).status_code == 200
    assert another.spent()["seconds"] == pytest.approx(2.0, abs=0.1)
