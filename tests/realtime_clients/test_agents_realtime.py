"""The Agents SDK for Node, with its own defaults: semantic_vad, transcription, tracing."""

from collections.abc import Iterator

import pytest

from tests.platform import ProviderProcess
from tests.realtime_clients.client_process import ClientProcess, node_client
from tests.realtime_clients.conftest import CALL, HEARD, REPLY, TALE, WEATHER, Wire
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def client() -> Iterator[ClientProcess]:
    with node_client("agents_realtime.mjs") as client:
        yield client


@pytest.fixture
def options(wire: Wire, caller: Caller, zhuge: str) -> dict[str, str]:
    return {"url": wire.realtime_url, "apiKey": caller.key, "model": zhuge}


@pytest.fixture(autouse=True)
def _nothing_is_dropped(client: ClientProcess, wire: Wire) -> Iterator[None]:
    """What the SDK's schemas do not know it drops without a word."""
    yield
    events = [event for each in wire.tap.sockets() for event in each.events]
    dropped = client.perform("dropped", events=events)
    # The SDK has no schema for these, whoever sends them.
    unknown = {"conversation.item.input_audio_transcription.segment"}
    assert [each for each in dropped if each["type"] not in unknown] == []


def test_a_turn_in_text(client: ClientProcess, options: dict[str, str], wire: Wire):
    found = client.perform("text", options=options, text=HEARD)
    assert found["errors"] == []
    assert found["outputs"] == [REPLY]
    assert found["audio"] == pytest.approx(seconds_of(REPLY), abs=0.2)
    user, character = found["history"]
    assert (user["role"], user["status"], user["content"][0]["text"]) == (
        "user",
        "completed",
        HEARD,
    )
    assert (character["role"], character["content"][0]["transcript"]) == ("assistant", REPLY)
    updated = wire.events("session.updated")[-1]["session"]
    assert updated["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert updated["audio"]["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
    updates = [each["session"] for each in wire.client_events("session.update")]
    assert options["model"] in [each.get("model") for each in updates]


def test_a_spoken_turn(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert found["outputs"] == [REPLY]
    assert found["history"][0]["content"][0]["transcript"] == HEARD


def test_the_user_interrupts(
    client: ClientProcess,
    options: dict[str, str],
    microphone: str,
    providers: ProviderProcess,
    wire: Wire,
):
    providers.script("chat", {"text": TALE})
    found = client.perform("interrupted", options=options, path=microphone)
    assert found["errors"] == []
    assert found["interruptions"] == 1
    assert found["outputs"][1] == REPLY
    (truncation,) = wire.client_events("conversation.item.truncate")
    (truncated,) = wire.events("conversation.item.truncated")
    assert truncated["audio_end_ms"] == truncation["audio_end_ms"] > 800
    cut = next(item for item in found["history"] if item["itemId"] == truncated["item_id"])
    assert cut["status"] == "incomplete"
    assert 0 < len(cut["content"][0]["transcript"] or "") < len(TALE)
    assert wire.client_events("response.cancel") == []


def test_a_button_stops_the_character(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess, wire: Wire
):
    providers.script("chat", {"text": TALE})
    found = client.perform("stopped", options=options)
    assert found["errors"] == []
    assert found["reason"] == "client_cancelled"
    assert found["outputs"][1] == REPLY
    assert len(wire.client_events("response.cancel")) == 1
    assert len(wire.events("conversation.item.truncated")) == 1


def test_a_tool_is_called(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    found = client.perform(
        "called", options=options, name=WEATHER["name"], description=WEATHER["description"]
    )
    assert found["errors"] == []
    assert (found["cities"], found["tools"]) == (["赤壁"], ["东风"])
    assert found["outputs"][-1] == REPLY


def test_history_is_rewritten(client: ClientProcess, options: dict[str, str]):
    found = client.perform("rewritten", options=options, text=HEARD)
    assert found["errors"] == []
    assert [item["role"] for item in found["history"]] == ["assistant"]


@pytest.mark.parametrize(
    ("changes", "status"), [({"apiKey": "sk-forged"}, 401), ({"model": "no-such-model"}, 404)]
)
def test_what_is_refused(
    client: ClientProcess, options: dict[str, str], changes: dict[str, str], status: int
):
    found = client.perform("refused", options={**options, **changes})
    assert str(status) in found["message"]
