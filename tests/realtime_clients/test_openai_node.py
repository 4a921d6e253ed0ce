"""OpenAI's client for Node. It speaks over TLS alone, so something ends TLS in front of us."""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.platform import ProviderProcess
from tests.processes import ServerProcess
from tests.realtime_clients.client_process import ClientProcess, node_client
from tests.realtime_clients.conftest import CALL, HEARD, REPLY, TALE, WEATHER, Wire
from tests.realtime_clients.frames import Dialect
from tests.realtime_clients.tap import Tap, tap
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def relay(server: ServerProcess, authority: trustme.CA) -> Iterator[Tap]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tap(server.base_url, context) as running:
        yield running


@pytest.fixture(scope="module")
def client(authority: trustme.CA, tmp_path_factory: Any) -> Iterator[ClientProcess]:
    file = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(file)
    with node_client("openai_realtime.mjs", NODE_EXTRA_CA_CERTS=str(file)) as client:
        yield client


@pytest.fixture(params=["ga", "beta"])
def dialect(request: pytest.FixtureRequest, wire: Wire) -> Dialect:
    wire.dialect = request.param
    return wire.dialect


@pytest.fixture
def options(wire: Wire, dialect: Dialect, caller: Caller, zhuge: str) -> dict[str, str]:
    return {"baseURL": wire.base_url, "apiKey": caller.key, "model": zhuge, "dialect": dialect}


def test_a_turn_in_text(client: ClientProcess, options: dict[str, str]):
    found = client.perform("text", options=options, text=HEARD)
    assert "诸葛亮" in found["session"]["instructions"]
    assert (found["answer"]["status"], found["answer"]["said"]) == ("completed", REPLY)
    assert found["answer"]["seconds"] == pytest.approx(seconds_of(REPLY), abs=0.2)
    assert found["errors"] == []


def test_a_spoken_turn(client: ClientProcess, options: dict[str, str], microphone: str):
    found = client.perform("spoken", options=options, path=microphone)
    assert found["heard"] == {"item": found["item"], "transcript": HEARD}
    assert found["answer"]["said"] == REPLY


def test_the_user_interrupts(
    client: ClientProcess, options: dict[str, str], microphone: str, providers: ProviderProcess
):
    providers.script("chat", {"text": TALE})
    found = client.perform("interrupted", options=options, path=microphone)
    assert (found["cut"]["status"], found["cut"]["reason"]) == ("cancelled", "turn_detected")
    assert found["kept"]["status"] == "incomplete"
    assert len(found["kept"]["content"][0].get("transcript") or "") < len(TALE) // 2
    assert found["answer"]["said"] == REPLY


def test_a_function_is_called(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    providers.script("chat", {"text": "", "tool_calls": [CALL]})
    found = client.perform("called", options=options, tool=WEATHER)
    assert {key: found["call"][key] for key in CALL} == CALL
    assert found["answer"]["said"] == REPLY


def test_a_response_is_cancelled_and_mistakes_are_errors(
    client: ClientProcess, options: dict[str, str], providers: ProviderProcess
):
    providers.script("chat", {"text": TALE})
    found = client.perform("cancelled", options=options)
    assert (found["cut"]["status"], found["cut"]["reason"]) == ("cancelled", "client_cancelled")
    assert found["errors"] == ["response_cancel_not_active", "item_retrieve_invalid_item_id"]
    assert found["causes"] == ["again", "unknown"]


@pytest.mark.parametrize(
    ("changes", "status"), [({"apiKey": "sk-forged"}, 401), ({"model": "no-such-model"}, 404)]
)
def test_what_is_refused(
    client: ClientProcess, options: dict[str, str], changes: dict[str, str], status: int
):
    found = client.perform("refused", options={**options, **changes})
    assert found["name"] == "OpenAIRealtimeError"
    assert str(status) in found["message"]
    assert found["events"] == 0
