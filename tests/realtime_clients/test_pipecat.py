"""pipecat's OpenAI realtime service: it ends its session at any error it does not expect."""

from collections.abc import Iterator

import pytest

from tests.platform import ProviderProcess
from tests.realtime_clients.client_process import ClientProcess, python_client
from tests.realtime_clients.conftest import CALL, HEARD, REPLY, TALE, WEATHER, Wire
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def client() -> Iterator[ClientProcess]:
    with python_client("pipecat_client.py") as client:
        yield client


@pytest.fixture
def options(wire: Wire, caller: Caller, zhuge: str) -> dict[str, str]:
    return {"url": wire.realtime_url, "api_key": caller.key, "model": zhuge}


@pytest.fixture(autouse=True)
def _its_own_types_take_it(client: ClientProcess, wire: Wire) -> Iterator[None]:
    yield
    frames = [frame for each in wire.tap.sockets() for frame in each.frames]
    assert client.perform("parsed", frames=frames) == []


def test_a_turn_in_text(client: ClientProcess, options: dict[str, str], wire: Wire):
    found = client.perform("text", options=options, asked=HEARD)
    assert found["errors"] == []
    assert found["assistant"] == [REPLY]
    assert found["played"] == pytest.approx(seconds_of(REPLY), abs=0.4)
    assert wire.events("session.updated")
    assert wire.client_events("session.update")[0]["session"]["model"] == options["model"]


def test_a_spoken_turn(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert (found["user"], found["assistant"]) == ([HEARD], [REPLY])


def test_by_its_defaults(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("by_its_defaults", options=options, path=microphone)
    assert found["errors"] == []
    assert found["assistant"] == [REPLY]


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
    assert found["interruptions"] >= 1
    events = wire.tap.sockets()[-1].events
    onset = [each["type"] for each in events].index("input_audio_buffer.speech_started")
    transcript = "response.output_audio_transcript.delta"
    said = [each["delta"] for each in events[onset:] if each["type"] == transcript]
    assert "".join(said) == REPLY  # nothing of the tale was sent once the user spoke
    assert found["assistant"][-1] == REPLY
    assert found["played"] < seconds_of(TALE) + seconds_of(REPLY) - 3
    (truncation,) = wire.client_events("conversation.item.truncate")
    (truncated,) = wire.events("conversation.item.truncated")
    assert truncated["item_id"] == truncation["item_id"]
    assert wire.events("response.done")[0]["response"]["status"] == "cancelled"


def test_turns_by_hand(client: ClientProcess, options: dict[str, str], microphone: str, wire: Wire):
    found = client.perform("by_hand", options=options, path=microphone)
    assert found["errors"] == []
    assert wire.events("session.updated")[0]["session"]["audio"]["input"]["turn_detection"] is None
    errors = [each["error"]["code"] for each in wire.events("error")]
    assert errors == ["response_cancel_not_active"]
    assert wire.events("response.done")[0]["response"]["status"] == "completed"


def test_a_function_is_called(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    found = client.perform("called", options=options, tool=WEATHER)
    assert found["errors"] == []
    assert found["arguments"] == [{"city": "赤壁"}]
    assert found["assistant"][-1] == REPLY


def test_an_item_is_retrieved(client: ClientProcess, options: dict[str, str]):
    found = client.perform("retrieved", options=options, asked=HEARD)
    assert (found["role"], found["transcript"]) == ("assistant", REPLY)
    assert "item_none" in found["unknown"]
    assert found["errors"] == []


@pytest.mark.parametrize(
    ("changes", "status"), [({"api_key": "sk-forged"}, 401), ({"model": "no-such-model"}, 404)]
)
def test_what_is_refused(
    client: ClientProcess, options: dict[str, str], changes: dict[str, str], status: int
):
    (error, *_) = client.perform("refused", options={**options, **changes})
    assert str(status) in error
