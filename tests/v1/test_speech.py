"""``POST /v1/audio/speech``: formats, streaming, speed, errors, clients that go away."""

import base64
import io
import json
import time
from typing import Any

import av
import httpx
import pytest
import soundfile

from tests.platform import ProviderProcess
from tests.processes import ServerProcess
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller, error_of

pytestmark = pytest.mark.system

TEXT = "今夜会有东风吗？亮观天象，今夜必有东风。The wind has turned, my friend."
MIMES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
CONTAINERS = {"mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac", "wav": "wav"}


def heard(data: bytes, name: str) -> tuple[float, float]:
    """Seconds of a file and its loudest sample (0 to 1), as FFmpeg reads it."""
    if name == "pcm":
        samples, rate = soundfile.read(
            io.BytesIO(data), samplerate=24_000, channels=1, format="RAW", subtype="PCM_16"
        )
        return len(samples) / rate, float(abs(samples).max())
    length, peak = 0.0, 0.0
    with av.open(io.BytesIO(data), format=CONTAINERS[name]) as container:
        assert len(container.streams) == 1
        stream = container.streams.audio[0]
        assert stream.channels == 1
        for frame in container.decode(stream):
            samples = frame.to_ndarray()
            length += frame.samples / frame.sample_rate
            scale = 32_768 if samples.dtype.kind == "i" and samples.dtype.itemsize == 2 else 1
            scale = 2**31 if samples.dtype.itemsize == 4 and samples.dtype.kind == "i" else scale
            peak = max(peak, float(abs(samples.astype(float)).max()) / scale)
    return length, peak


@pytest.mark.parametrize("name", MIMES)
def test_each_format_decodes(caller: Caller, name: str):
    answer = caller.say(input=TEXT, response_format=name)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MIMES[name]
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-request-id"]
    seconds, peak = heard(answer.content, name)
    assert seconds == pytest.approx(seconds_of(TEXT), abs=0.2)
    assert 0.1 < peak <= 1.0


def test_mp3_is_the_default(caller: Caller):
    answer = caller.say()
    assert answer.headers["content-type"] == "audio/mpeg"
    assert heard(answer.content, "mp3")[0] > 0.5


def test_the_length_of_a_streamed_wav_is_open(caller: Caller):
    data = caller.say(response_format="wav").content
    assert (data[:4], data[4:8], data[40:44]) == (b"RIFF", b"\xff" * 4, b"\xff" * 4)


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 1.0, 1.7, 2.0, 3.0, 4.0])
def test_speed_changes_the_length(caller: Caller, speed: float):
    for name in ("pcm", "mp3"):
        answer = caller.say(input=TEXT, speed=speed, response_format=name)
        assert heard(answer.content, name)[0] == pytest.approx(seconds_of(TEXT) / speed, abs=0.25)


def test_4096_characters_are_said_to_the_end(caller: Caller):
    text = ("今夜会有东风吗？" * 512)[:4096]
    answer = caller.say(input=text, response_format="opus")
    assert heard(answer.content, "opus")[0] == pytest.approx(seconds_of(text), rel=0.01)


@pytest.mark.parametrize("name", MIMES)
def test_audio_comes_before_synthesis_ends(caller: Caller, providers: ProviderProcess, name: str):
    # The provider takes as long as the audio is; the first of it must not wait for the last.
    providers.script("speech", {"pace": {"speech_rate": 2.0}, "piece_bytes": 4_800})
    length = seconds_of(TEXT)
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": name}
    begun = time.monotonic()
    with httpx.stream(
        "POST", f"{caller.url}/audio/speech", json=body, headers=caller.headers, timeout=30
    ) as answer:
        pieces = answer.iter_raw()
        data = next(pieces)
        while len(data) < 200:  # a header alone is no audio
            data += next(pieces)
        first = time.monotonic() - begun
        data += b"".join(pieces)
    took = time.monotonic() - begun
    assert took > length / 2 * 0.9
    assert first < took / 2
    assert heard(data, name)[0] == pytest.approx(length, abs=0.2)


def test_a_client_that_goes_stops_the_synthesis(caller: Caller, providers: ProviderProcess):
    providers.script("speech", {"pace": {"speech_rate": 0.5}})
    body = {"model": "tts-1", "input": TEXT * 10, "voice": "alloy"}
    with httpx.stream(
        "POST", f"{caller.url}/audio/speech", json=body, headers=caller.headers, timeout=30
    ) as answer:
        assert next(answer.iter_raw())
    _until(lambda: providers.log()["counts"]["speech"].get("cancelled") == 1)


def test_a_client_that_goes_before_the_first_byte(caller: Caller, providers: ProviderProcess):
    providers.script("speech", {"fault": "stall_first"})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{caller.url}/audio/speech",
            json={"model": "tts-1", "input": TEXT, "voice": "alloy"},
            headers=caller.headers,
            timeout=1,
        )
    _until(lambda: providers.log()["counts"]["speech"].get("cancelled") == 1)


def _until(ready: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


# As events


def test_audio_as_events(caller: Caller):
    answer = caller.say(input=TEXT, stream_format="sse", response_format="mp3")
    assert answer.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert {each["type"] for each in events[:-1]} == {"speech.audio.delta"}
    data = b"".join(base64.b64decode(each["audio"]) for each in events[:-1])
    assert heard(data, "mp3")[0] == pytest.approx(seconds_of(TEXT), abs=0.2)
    assert events[-1]["type"] == "speech.audio.done"
    usage = events[-1]["usage"]
    assert usage["input_tokens"] == len(TEXT)
    assert usage["output_tokens"] == pytest.approx(20 * seconds_of(TEXT), abs=2)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_events_that_break_off_end_with_an_error(caller: Caller, providers: ProviderProcess):
    providers.script("speech", {"fault": "drop_middle"})
    answer = caller.say(input=TEXT, stream_format="sse")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert events[0]["type"] == "speech.audio.delta"
    assert events[-1]["error"]["code"] == "provider_error"
    assert set(events[-1]["error"]) == {"message", "type", "param", "code"}


# Failures


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"status": 401}, 502, "provider_error"),
        ({"status": 429}, 429, "rate_limit_exceeded"),
        ({"status": 503}, 503, "provider_unavailable"),
        ({"status": 400}, 400, "invalid_value"),
        ({"status": 400, "code": "content_policy_violation"}, 400, "content_policy_violation"),
        ({"fault": "drop_before"}, 503, "provider_unavailable"),
        ({"fault": "stall_before"}, 503, "provider_timeout"),
        ({"fault": "stall_first"}, 503, "provider_timeout"),
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
    providers.script("speech", **script)
    before = len(server.log())
    begun = time.monotonic()
    for stream_format in ("audio", "sse"):
        answer = caller.say(stream_format=stream_format)
        assert error_of(answer, status)["code"] == code
        assert ("retry-after" in answer.headers) == (status in (429, 503))
        assert "loopback-key" not in answer.text
    assert time.monotonic() - begun < 12  # two of them
    assert "Traceback" not in server.log()[before:]


@pytest.mark.parametrize("name", ["mp3", "wav", "pcm"])
def test_audio_that_breaks_off_cuts_the_connection(
    caller: Caller, providers: ProviderProcess, server: ServerProcess, name: str
):
    providers.script("speech", {"fault": "drop_middle", "piece_bytes": 4_800})
    before = len(server.log())
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        caller.say(input=TEXT, response_format=name)
    log = server.log()[before:]
    assert "speech broke off" in log
    assert "Traceback" not in log
    assert caller.say().status_code == 200


# Bad input


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": " \n"}, "input", "invalid_value"),
        ({"input": "。！？…🌸"}, "input", "invalid_value"),
        ({"input": "字" * 4097}, "input", "string_above_max_length"),
        ({"input": ["x"]}, "input", "invalid_type"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"model": 1}, "model", "invalid_type"),
        ({"voice": None}, "voice", "missing_required_parameter"),
        ({"voice": "nobody"}, "voice", "invalid_value"),
        ({"voice": ""}, "voice", "invalid_value"),
        ({"voice": {"id": "nobody"}}, "voice", "invalid_value"),
        ({"voice": {}}, "voice", "invalid_value"),
        ({"voice": ["alloy"]}, "voice", "invalid_type"),
        ({"response_format": "ogg"}, "response_format", "invalid_value"),
        ({"response_format": 3}, "response_format", "invalid_type"),
        ({"stream_format": "websocket"}, "stream_format", "invalid_value"),
        ({"speed": 0.24}, "speed", "invalid_value"),
        ({"speed": 4.01}, "speed", "invalid_value"),
        ({"speed": "1"}, "speed", "invalid_type"),
        ({"speed": True}, "speed", "invalid_type"),
        ({"speed": 10**400}, "speed", "invalid_type"),
        ({"instructions": "x" * 4097}, "instructions", "string_above_max_length"),
    ],
)
def test_bad_input(caller: Caller, fields: dict[str, Any], param: str, code: str):
    error = error_of(caller.say(**fields), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"


def test_fields_of_relays_are_let_pass(caller: Caller):
    assert caller.say(volume=50, pitch=1, instructions="whisper", user="u").status_code == 200


# Voices and models


@pytest.mark.parametrize(
    "voice", ["alloy", "marin", {"id": "nova"}, "longyingcui", "kokoro_zf_xiaoxiao", "zf_xiaoxiao"]
)
def test_voices_of_the_catalogue(caller: Caller, voice: Any):
    answer = caller.say(voice=voice)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-voice"]


def test_openai_names_reach_an_openai_server(caller: Caller, providers: ProviderProcess):
    for voice in ("onyx", "shimmer"):
        assert caller.say(voice=voice, model="tts-1-hd").headers["x-voice"] == voice
        asked = providers.log()["exchanges"][-1]["body"]
        assert (asked["voice"], asked["model"]) == (voice, "loopback")


def test_use_is_written_down(another: Caller, providers: ProviderProcess):
    assert another.say(input="你好").status_code == 200
    _until(lambda: another.spent().get("characters") == 2)
    providers.script("speech", {"status": 503}, {"status": 503})
    assert another.say(input="你好").status_code == 503
    assert another.spent()["characters"] == 2
    keys = another.account.get("/api/keys")
    assert keys[0]["spent"]["characters"] == 2
