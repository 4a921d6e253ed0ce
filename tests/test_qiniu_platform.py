"""A platform with nothing but a key of Qiniu listens, thinks and speaks by it."""

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import av
import pytest

from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server
from tests.servers import voiced

pytestmark = pytest.mark.system

CALL = "/api/ws/voice_chat"
REPLY = "亮在此，主公有何吩咐？今夜必有东风。"
VOICE = "qiniu_zh_male_ljfdxz"


@pytest.fixture(scope="module")
def qiniu() -> Iterator[ProviderProcess]:
    with loopback_providers("tests.servers.qiniu") as process:
        yield process


@pytest.fixture(scope="module")
def server(qiniu: ProviderProcess) -> Iterator[ServerProcess]:
    settings = {
        "QINIU_API_KEY": "sk-loopback",
        "QINIU_BASE_URL": qiniu.base_url,
        "LLM_BASE_URL": qiniu.base_url,
        "LLM_API_KEY": "sk-loopback",
        "LLM_MODEL": "deepseek-v3",
        "SPEECH": "off",
    }
    with start_server(settings) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess, qiniu: ProviderProcess) -> Client:
    qiniu.reset()
    qiniu.script("chat", text=REPLY)
    qiniu.script("transcriptions", text="今夜会有东风吗？")
    return Client.register(server.base_url)


@pytest.fixture
def question(client: Client) -> dict[str, Any]:
    url = client.upload(voiced.mp3(voiced.pcm(2)))
    role = client.add_role(voice_type=VOICE)
    return {"role_id": role, "voice_url": url, "format": "mp3", "stream": True}


def exchanges(qiniu: ProviderProcess, endpoint: str) -> list[dict[str, Any]]:
    return [each for each in qiniu.log()["exchanges"] if each["endpoint"] == endpoint]


def test_its_voices_are_offered(client: Client) -> None:
    voices = {voice["voice_type"] for voice in client.get("/api/voiceTypes")}
    assert VOICE in voices
    assert sum(name.startswith("qiniu_") for name in voices) >= 38


def test_a_call_is_heard_answered_and_spoken(
    client: Client, question: dict[str, Any], qiniu: ProviderProcess
) -> None:
    with client.socket(CALL) as socket:
        socket.send(question)
        messages = socket.until_final()
    assert messages[-1]["text"] == REPLY
    heard = next(message for message in messages if message["type"] == "transcript")
    assert "今夜会有东风吗？" in heard.values()
    mp3 = b"".join(base64.b64decode(m["data"]) for m in messages if m["type"] == "audio")
    with av.open(io.BytesIO(mp3), format="mp3") as container:
        seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert seconds == pytest.approx(voiced.seconds_of(REPLY), abs=1)
    [listened] = exchanges(qiniu, "transcriptions")
    assert listened["outcome"] == "finished"
    assert listened["body"]["pcm"] == pytest.approx(64_000, rel=0.1)
    spoken = [
        each for each in exchanges(qiniu, "speech") if each["body"]["request"]["text"] in REPLY
    ]
    # Two are made at a time: which of them arrives first is open.
    texts = sorted((each["body"]["request"]["text"] for each in spoken), key=REPLY.index)
    assert "".join(texts) == REPLY
    assert {each["body"]["audio"]["voice_type"] for each in spoken} == {VOICE}


def test_a_refused_key_is_a_clear_error_at_once(
    client: Client, question: dict[str, Any], qiniu: ProviderProcess
) -> None:
    qiniu.script("transcriptions", status=401)
    began = time.monotonic()
    with client.socket(CALL) as socket:
        error = socket.ask(question)
    assert time.monotonic() - began < 5
    assert error["type"] == "error"
    assert "sk-" not in str(error)
