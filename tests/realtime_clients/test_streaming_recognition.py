"""With a recogniser that understands while one speaks: speech is answered the sooner."""

from collections.abc import Iterator

import pytest

from tests.platform import DashScopeProcess, loopback_dashscope
from tests.processes import ServerProcess, start_server
from tests.realtime_clients.client_process import node_client, python_client
from tests.realtime_clients.conftest import HEARD, REPLY, Wire
from tests.realtime_clients.speech import utterance
from tests.realtime_clients.tap import Tap, tap
from tests.realtime_clients.test_openai_python import SERVER_VAD, connected
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def dashscope() -> Iterator[DashScopeProcess]:
    with loopback_dashscope() as process:
        yield process


@pytest.fixture(scope="module")
def server(dashscope: DashScopeProcess) -> Iterator[ServerProcess]:
    with start_server(dashscope.settings) as process:
        yield process


@pytest.fixture(scope="module")
def relay(server: ServerProcess) -> Iterator[Tap]:
    with tap(server.base_url) as running:
        yield running


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Caller:
    return Caller.register(server.base_url)


@pytest.fixture(scope="module")
def zhuge(caller: Caller) -> str:
    return f"role:{caller.account.role('诸葛亮')}"


@pytest.fixture(autouse=True)
def _answers(dashscope: DashScopeProcess) -> None:
    dashscope.reset()
    dashscope.script("chat", text=REPLY)
    dashscope.script("asr", text=HEARD)


async def test_openai(wire: Wire, caller: Caller, zhuge: str):
    async with connected(wire, caller.key, zhuge) as talk:
        await talk.detect(SERVER_VAD)
        await talk.speak(utterance())
        done = (await talk.until("response.done")).response
        (heard,) = talk.all("conversation.item.input_audio_transcription.completed")
        deltas = talk.all("conversation.item.input_audio_transcription.delta")
    assert heard.transcript == HEARD
    assert "".join(each.delta for each in deltas) == HEARD
    assert talk.said(done.id) == REPLY


def test_agents_realtime(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"url": wire.realtime_url, "apiKey": caller.key, "model": zhuge}
    with node_client("agents_realtime.mjs") as client:
        found = client.perform("spoken", options=options, path=microphone)
        (exchange,) = wire.tap.sockets()
        assert client.perform("dropped", events=exchange.events) == []
    assert (found["errors"], found["outputs"]) == ([], [REPLY])
    assert found["history"][0]["content"][0]["transcript"] == HEARD


def test_pipecat(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"url": wire.realtime_url, "api_key": caller.key, "model": zhuge}
    with python_client("pipecat_client.py") as client:
        found = client.perform("spoken", options=options, path=microphone)
        (exchange,) = wire.tap.sockets()
        assert client.perform("parsed", frames=exchange.frames) == []
    assert (found["errors"], found["user"], found["assistant"]) == ([], [HEARD], [REPLY])


def test_livekit(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"base_url": wire.base_url, "api_key": caller.key, "model": zhuge}
    with python_client("livekit_client.py") as client:
        found = client.perform("spoken", options=options, path=microphone)
    assert (found["errors"], found["transcripts"], found["text"]) == ([], [HEARD], REPLY)
