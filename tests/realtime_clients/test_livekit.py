"""LiveKit's OpenAI plugin, with its own defaults: semantic_vad, transcription, voice marin."""

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
    with python_client("livekit_client.py") as client:
        yield client


@pytest.fixture
def options(wire: Wire, caller: Caller, zhuge: str) -> dict[str, str]:
    return {"base_url": wire.base_url, "api_key": caller.key, "model": zhuge}


def test_a_turn_in_text(client: ClientProcess, options: dict[str, str], wire: Wire):
    found = client.perform("text", options=options, asked=HEARD)
    assert found["errors"] == []
    assert found["text"] == REPLY
    assert found["seconds"] == pytest.approx(seconds_of(REPLY), abs=0.2)
    assert found["context"] == 2
    session = wire.events("session.updated")[0]["session"]
    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert session["audio"]["output"]["voice"] == "marin"


def test_a_turn_in_text_alone(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    found = client.perform("written", options=options, asked=HEARD)
    assert found["errors"] == []
    assert (found["text"], found["seconds"]) == (REPLY, 0)
    (asked,) = (e["body"] for e in providers.log()["exchanges"] if e["endpoint"] == "chat")
    assert "文言。" in str(asked["messages"])
    assert "诸葛亮" in asked["messages"][0]["content"]


def test_a_spoken_turn(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert (found["transcripts"], found["text"]) == ([HEARD], REPLY)


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
    assert found["cut"]["seconds"] < seconds_of(TALE)
    assert found["reply"]["text"] == REPLY
    assert wire.events("conversation.item.truncated")[0]["audio_end_ms"] == 1_200


def test_a_function_is_called(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    found = client.perform("called", options=options, tool=WEATHER)
    assert found["errors"] == []
    assert {key: found["call"][key] for key in CALL} == CALL
    assert found["answer"]["text"] == REPLY
    *_, told = [e["body"] for e in providers.log()["exchanges"] if e["endpoint"] == "chat"]
    assert told["messages"][-1]["content"] == "东风"


def test_a_reply_is_not_wanted_any_more(client: ClientProcess, options: dict[str, str], wire: Wire):
    found = client.perform("abandoned", options=options)
    assert [each for each in found["errors"] if "discarding response" not in each] == []
    assert found["text"] == REPLY
    first, second = (each["response"]["status"] for each in wire.events("response.done"))
    assert (first, second) == ("cancelled", "completed")


def test_turns_by_hand(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("by_hand", options=options, path=microphone)
    assert found["errors"] == []
    assert (found["transcripts"], found["text"]) == ([HEARD], REPLY)


@pytest.mark.parametrize(
    ("changes", "status"), [({"api_key": "sk-forged"}, 401), ({"model": "no-such-model"}, 404)]
)
def test_what_is_refused(
    client: ClientProcess, options: dict[str, str], changes: dict[str, str], status: int
):
    error, cause = client.perform("refused", options={**options, **changes})
    assert "APIConnectionError" in error
    assert str(status) in cause
