"""Rules of the task WebSocket that the SDK does not show: reuse, silence, refusals, faults."""

import asyncio
import json
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.servers import voiced
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour, Fault, Pace
from tests.servers.dashscope_voices import speaks

RUN = {
    "task_group": "audio",
    "task": "tts",
    "function": "SpeechSynthesizer",
    "model": "cosyvoice-v3-flash",
    "parameters": {"voice": "longanyang", "format": "pcm", "sample_rate": 16_000},
    "input": {},
}
KEY = {"Authorization": "Bearer sk-any"}


@pytest.fixture
async def server() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer() as running:
        yield running


class Client:
    """One task after another over a bare socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.task_id = ""

    async def send(self, action: str, payload: dict[str, Any]) -> None:
        header = {"action": action, "task_id": self.task_id, "streaming": "duplex"}
        await self.socket.send(json.dumps({"header": header, "payload": payload}))

    async def run(self, payload: dict[str, Any] | None = None) -> None:
        self.task_id = uuid.uuid4().hex
        await self.send("run-task", payload or RUN)

    async def say(self, text: str) -> None:
        await self.send("continue-task", {"input": {"text": text}})

    async def until(self, event: str) -> tuple[dict[str, Any], bytes]:
        """The first frame of that event, and the audio before it."""
        audio = bytearray()
        async with asyncio.timeout(5):
            while True:
                message = await self.socket.recv()
                if isinstance(message, bytes):
                    audio += message
                    continue
                frame: dict[str, Any] = json.loads(message)
                if frame["header"]["event"] == event:
                    return frame, bytes(audio)
                assert frame["header"]["event"] != "task-failed", frame

    async def speak(self, text: str) -> bytes:
        await self.run()
        await self.until("task-started")
        await self.say(text)
        await self.send("finish-task", {"input": {}})
        frame, audio = await self.until("task-finished")
        assert frame["header"]["task_id"] == self.task_id
        assert frame["header"]["attributes"]["request_uuid"]
        return audio


@pytest.fixture
async def client(server: DashScopeServer) -> AsyncIterator[Client]:
    async with connect(server.websocket_url, additional_headers=KEY) as socket:
        yield Client(socket)


async def ended(server: DashScopeServer, outcome: str) -> None:
    async with asyncio.timeout(5):
        while not server.count("tts", outcome):
            await asyncio.sleep(0.005)


async def test_a_finished_connection_serves_the_next_task(
    server: DashScopeServer, client: Client
) -> None:
    first = await client.speak("你好。")
    second = await client.speak("再见，朋友。")
    assert len(first) == pytest.approx(voiced.seconds_of("你好。") * 32_000, abs=4)
    assert len(second) == pytest.approx(voiced.seconds_of("再见，朋友。") * 32_000, abs=4)
    assert server.connections_opened == 1
    assert [record.connection for record in server.script.records if record.kind == "tts"] == [1, 1]
    assert server.count("tts", "finished") == 2


async def test_sentences_are_spoken_before_the_text_ends(client: Client) -> None:
    await client.run()
    await client.until("task-started")
    for piece in ("今天", "天气好。我", "想"):
        await client.say(piece)
    frame, audio = await client.until("result-generated")
    assert frame["payload"]["output"]["original_text"] == "今天天气好。"
    while not audio:
        frame, audio = await client.until("result-generated")
    await client.send("continue-task", {"input": {"flush": True}})
    while frame["payload"]["output"]["sentence"]["index"] == 0:
        frame, _ = await client.until("result-generated")
    assert frame["payload"]["output"]["original_text"] == "我想"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([("continue-task", {"input": {"text": "你好"}})], "outside a started task"),
        ([("run-task", RUN | {"task": "dance"})], "task_group, task, function"),
        ([("run-task", RUN | {"parameters": {}})], "voice is invalid"),
        ([("run-task", RUN | {"parameters": {"voice": "longwan", "format": "mp3"}})], "418"),
        (
            [("run-task", RUN | {"parameters": {"voice": "longanyang", "format": "flac"}})],
            "format is invalid",
        ),
    ],
)
async def test_a_broken_rule_fails_and_ends_the_connection(
    client: Client, frames: list[tuple[str, dict[str, Any]]], message: str
) -> None:
    client.task_id = uuid.uuid4().hex
    for action, payload in frames:
        await client.send(action, payload)
    frame, _ = await client.until("task-failed")
    assert message in frame["header"]["error_message"]
    with pytest.raises(websockets.ConnectionClosed):
        await client.socket.recv()


async def test_a_second_task_at_the_same_time_is_refused(
    server: DashScopeServer, client: Client
) -> None:
    await client.run()
    await client.until("task-started")
    await client.run()
    frame, _ = await client.until("task-failed")
    assert "A task is running" in frame["header"]["error_message"]
    assert server.count("tts", "failed") == 1


async def test_what_is_no_frame_of_the_protocol_is_refused(client: Client) -> None:
    await client.socket.send("hello")
    frame, _ = await client.until("task-failed")
    assert frame["header"]["error_code"] == "InvalidParameter"


async def test_silence_within_a_task_fails_it() -> None:
    async with (
        DashScopeServer(silence=0.2) as server,
        connect(server.websocket_url, additional_headers=KEY) as socket,
    ):
        client = Client(socket)
        await client.speak("完成的任务不算。")
        await client.run()
        await client.until("task-started")
        frame, _ = await client.until("task-failed")
        assert frame["header"]["error_message"] == "request timeout after 23 seconds."


async def test_an_idle_connection_is_closed() -> None:
    async with (
        DashScopeServer(idle=0.2) as server,
        connect(server.websocket_url, additional_headers=KEY) as socket,
    ):
        await Client(socket).speak("你好。")
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert server.connections_open == 0


@pytest.mark.parametrize(
    ("behaviour", "status", "retry_after"),
    [
        (Behaviour(status=401), 401, None),
        (Behaviour(status=403, code="AccessDenied.Unpurchased"), 403, None),
        (Behaviour(status=429, retry_after="3"), 429, "3"),
        (Behaviour(status=429), 429, None),
        (Behaviour(status=503), 503, None),
    ],
)
async def test_handshakes_are_refused_on_demand(
    server: DashScopeServer, behaviour: Behaviour, status: int, retry_after: str | None
) -> None:
    server.next("connect", behaviour)
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(server.websocket_url, additional_headers=KEY)
    response = caught.value.response
    assert response.status_code == status
    assert response.headers.get("Retry-After") == retry_after
    body = json.loads(response.body or b"{}")
    assert body["code"] == (behaviour.code or body["code"])
    assert server.count("connect", "refused") == 1


async def test_a_handshake_without_a_key_is_refused(server: DashScopeServer) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(server.websocket_url)
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize("fault", ["drop_start", "drop_middle", "drop_finished"])
async def test_the_socket_is_dropped_on_demand(
    server: DashScopeServer, client: Client, fault: Fault
) -> None:
    server.next("tts", Behaviour(fault=fault))
    with pytest.raises(websockets.ConnectionClosedError):
        await client.speak("你好，今天天气怎么样？")
        await client.socket.recv()
    await ended(server, "finished" if fault == "drop_finished" else "dropped")


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("stall_start", None),
        ("stall_first", "task-started"),
        ("stall_middle", "sentence-synthesis"),
        ("stall_finish", "sentence-end"),
    ],
)
async def test_a_task_stalls_on_demand(
    server: DashScopeServer, client: Client, fault: Fault, last: str | None
) -> None:
    server.next("tts", Behaviour(fault=fault))
    await client.run()
    if last:
        await client.until("task-started")
        await client.say("你好，今天天气怎么样？")
        await client.send("finish-task", {"input": {}})
    seen = "task-started" if last else None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                message = await client.socket.recv()
                if isinstance(message, str):
                    frame = json.loads(message)
                    seen = frame["payload"]["output"]["type"]
    assert seen == last
    await client.socket.close()
    await ended(server, "gone")


async def test_a_pace_is_kept(server: DashScopeServer, client: Client) -> None:
    slow = Pace(start_ms=150, first_audio_ms=150, speech_rate=10)
    server.next("tts", Behaviour(pace=slow))
    began = time.monotonic()
    await client.run()
    await client.until("task-started")
    started = time.monotonic()
    assert started - began > 0.14
    await client.say("今天天气怎么样，我想去看海。")  # 2.66 s of audio
    await client.until("result-generated")
    first = time.monotonic()
    assert first - started > 0.14
    await client.send("finish-task", {"input": {}})
    await client.until("task-finished")
    assert time.monotonic() - first > 0.2


async def test_a_handshake_that_hangs_or_drops(server: DashScopeServer) -> None:
    server.next("connect", Behaviour(fault="stall_start"), Behaviour(fault="drop_start"))
    with pytest.raises(TimeoutError):
        await connect(server.websocket_url, additional_headers=KEY, open_timeout=0.2)
    with pytest.raises((OSError, websockets.InvalidMessage)):
        await connect(server.websocket_url, additional_headers=KEY)
    assert server.count("connect", "dropped") == 1
    assert server.connections_opened == 0


async def test_silence_is_answered_with_heartbeats_but_not_frames_missing() -> None:
    asr = {"task_group": "audio", "task": "asr", "function": "recognition", "input": {}}
    parameters = {"format": "pcm", "sample_rate": 16_000, "heartbeat": True}
    payload = asr | {"model": "paraformer-realtime-v2", "parameters": parameters}
    async with (
        DashScopeServer(silence=0.3) as server,
        connect(server.websocket_url, additional_headers=KEY) as socket,
    ):
        client = Client(socket)
        await client.run(payload)
        await client.until("task-started")
        for _ in range(12):
            await socket.send(bytes(3_200))
        frame, _ = await client.until("result-generated")
        sentence = frame["payload"]["output"]["sentence"]
        assert (sentence["heartbeat"], sentence["text"]) == (True, "")
        frame, _ = await client.until("task-failed")
        assert frame["header"]["error_message"] == "request timeout after 23 seconds."


@pytest.mark.parametrize("fault", ["drop_start", "drop_middle", "fail_middle", "stall_middle"])
async def test_http_synthesis_breaks_on_demand(server: DashScopeServer, fault: Fault) -> None:
    server.next("speech", Behaviour(fault=fault, code="Throttling"))
    given = {"text": "今天天气怎么样？", "voice": "longanyang", "format": "pcm"}
    body = {"model": "cosyvoice-v3-flash", "input": given}
    url = f"{server.http_url}/services/audio/tts/SpeechSynthesizer"
    headers = KEY | {"X-DashScope-SSE": "enable"}
    data = bytearray()
    error: Exception | None = None
    async with httpx.AsyncClient(timeout=0.5) as http:
        try:
            async with http.stream("POST", url, json=body, headers=headers) as answer:
                async for piece in answer.aiter_bytes():
                    data += piece
        except httpx.TransportError as caught:
            error = caught
    assert (b"sentence-synthesis" in data) == (fault != "drop_start")
    assert b'"finish_reason"' not in data
    if fault == "fail_middle":
        assert error is None
        assert b"event:error" in data
        assert b'"code": "Throttling"' in data
    else:
        assert isinstance(error, httpx.ReadTimeout if fault == "stall_middle" else Exception)


def test_the_catalogue_and_the_loopback_service_agree_on_voices() -> None:
    rows = json.loads(Path("voice/data/voices/dashscope.json").read_text(encoding="utf-8"))
    assert len(rows) > 150
    for row in rows:
        model, _, voice = row["provider_voice"].partition("/")
        assert speaks(model, voice), row


async def test_every_connection_dies_on_demand(server: DashScopeServer, client: Client) -> None:
    await client.speak("你好。")
    server.drop_connections()
    with pytest.raises(websockets.ConnectionClosedError):
        await client.socket.recv()


async def test_as_a_process_with_tls_steered_from_outside() -> None:
    command = [sys.executable, "-m", "tests.servers.dashscope", "--tls", "--api-key", "sk-any"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = json.loads(await asyncio.to_thread(process.stdout.readline))
        tls = ssl.create_default_context(cafile=told["ca_file"])
        async with httpx.AsyncClient(verify=tls, base_url=told["url"]) as http:
            order = {"kind": "tts", "next": [{"fault": "fail_start", "code": "Throttling"}]}
            assert (await http.post("/control/script", json=order)).status_code == 200
            wrong = await http.post("/control/script", json={"kind": "tts", "next": [{"x": 1}]})
            assert wrong.status_code == 400
            url = told["websocket_url"]
            async with connect(url, additional_headers=KEY, ssl=tls) as socket:
                client = Client(socket)
                await client.run()
                frame, _ = await client.until("task-failed")
                assert frame["header"]["error_code"] == "Throttling"
            async with connect(url, additional_headers=KEY, ssl=tls) as socket:
                assert await Client(socket).speak("你好。")
            log = (await http.get("/control/log")).json()
            assert log["counts"]["tts"] == {"started": 2, "failed": 1, "finished": 1}
            assert log["connections"]["opened"] == 2
            assert [each["texts"] for each in log["records"][1::2]] == [[], ["你好。"]]
            assert "sk-any" not in json.dumps(log)
            await http.post("/control/reset")
            assert (await http.get("/control/log")).json()["counts"] == {}
    finally:
        process.terminate()
        assert process.wait(10) == 0
