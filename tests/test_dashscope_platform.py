"""A platform with nothing but a key of DashScope listens, thinks and speaks by it."""

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import av
import pytest

from tests.platform import Client, DashScopeProcess, loopback_dashscope
from tests.processes import ServerProcess, start_server
from tests.servers import voiced

pytestmark = pytest.mark.system

CALL = "/api/ws/voice_chat"
REPLY = "亮在此，主公有何吩咐？今夜必有东风。"
VOICE = "longxiaochun_v2"


@pytest.fixture(scope="module")
def dashscope() -> Iterator[DashScopeProcess]:
    with loopback_dashscope() as process:
        yield process


@pytest.fixture(scope="module")
def server(dashscope: DashScopeProcess) -> Iterator[ServerProcess]:
    with start_server(dashscope.settings) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess, dashscope: DashScopeProcess) -> Client:
    dashscope.reset()
    dashscope.script("chat", text=REPLY)
    dashscope.script("asr", text="今夜会有东风吗？")
    return Client.register(server.base_url)


@pytest.fixture
def question(client: Client) -> dict[str, Any]:
    url = client.upload(voiced.mp3(voiced.pcm(2)))
    role = client.add_role(voice_type=VOICE)
    return {"role_id": role, "voice_url": url, "format": "mp3", "stream": True}


def tasks(dashscope: DashScopeProcess, kind: str) -> list[dict[str, Any]]:
    return [record for record in dashscope.log()["records"] if record["kind"] == kind]


def seconds_of(messages: list[dict[str, Any]]) -> float:
    mp3 = b"".join(base64.b64decode(m["data"]) for m in messages if m["type"] == "audio")
    with av.open(io.BytesIO(mp3), format="mp3") as container:
        frames = list(container.decode(audio=0))
    return sum(frame.samples / frame.sample_rate for frame in frames)


def test_its_voices_are_in_the_catalogue(client: Client) -> None:
    voices = {voice["voice_type"]: voice for voice in client.get("/api/voiceTypes")}
    assert VOICE in voices
    assert sum(name.startswith(("long", "loong")) for name in voices) > 150


def test_a_call_is_heard_answered_and_spoken(
    client: Client, question: dict[str, Any], dashscope: DashScopeProcess
) -> None:
    with client.socket(CALL) as socket:
        socket.send(question)
        messages = socket.until_final()
    assert messages[-1]["text"] == REPLY
    heard = next(message for message in messages if message["type"] == "transcript")
    assert "今夜会有东风吗？" in heard.values()
    assert seconds_of(messages) == pytest.approx(voiced.seconds_of(REPLY), abs=1)
    [asr] = tasks(dashscope, "asr")
    assert asr["outcome"] == "finished"
    assert asr["seconds"] == pytest.approx(2, abs=0.2)
    # An apology is made beside it, for the day on which the service fails.
    spoken = [task for task in tasks(dashscope, "tts") if task["texts"][0] in REPLY]
    assert {task["outcome"] for task in spoken} == {"finished"}
    assert {(task["model"], task["parameters"]["voice"]) for task in spoken} == {
        ("cosyvoice-v2", VOICE)
    }
    assert "".join(text for task in spoken for text in task["texts"]) == REPLY
    assert dashscope.log()["counts"]["chat"] == {"started": 1, "finished": 1}


def test_an_interrupted_call_stops_the_service(
    client: Client, question: dict[str, Any], dashscope: DashScopeProcess
) -> None:
    dashscope.script("chat", text=REPLY * 6)
    dashscope.script("tts", pace={"speech_rate": 1.2})
    with client.socket(CALL) as socket:
        socket.send(question)
        while socket.receive()["type"] != "audio":
            pass
        socket.send({"type": "cancel"})
        assert socket.until_final(5)[-1]["status"] == "cancelled"
    deadline = time.monotonic() + 5
    while any(task["outcome"] == "open" for task in tasks(dashscope, "tts")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {"cancelled", "gone"} & {task["outcome"] for task in tasks(dashscope, "tts")}


def test_a_refused_key_is_a_clear_error_at_once(
    client: Client, question: dict[str, Any], dashscope: DashScopeProcess
) -> None:
    dashscope.script("asr", fault="fail_start", code="InvalidApiKey", message="sk-secret")
    began = time.monotonic()
    with client.socket(CALL) as socket:
        error = socket.ask(question)
    assert time.monotonic() - began < 5
    assert error["type"] == "error"
    assert "sk-" not in str(error)


def test_dead_connections_are_replaced_unheard(
    client: Client, question: dict[str, Any], dashscope: DashScopeProcess
) -> None:
    dashscope.script("tts", fault="drop_finished")
    with client.socket(CALL) as socket:
        for _ in range(2):
            socket.send(question)
            messages = socket.until_final()
            assert messages[-1]["text"] == REPLY
            assert seconds_of(messages) == pytest.approx(voiced.seconds_of(REPLY), abs=1)
