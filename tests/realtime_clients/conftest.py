"""One server with loopback providers for all clients, behind a relay that checks each frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.platform import ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server
from tests.realtime_clients.frames import Dialect, check_session
from tests.realtime_clients.speech import utterance
from tests.realtime_clients.tap import Tap, tap
from tests.v1.conftest import Caller

REPLY = "亮观天象，今夜必有东风。"
# Some 13 seconds of speech: long enough to be interrupted.
TALE = (
    "却说曹操平定河北，起大军八十三万，水陆并进，直下江东。" + "周郎定计，孔明借箭，黄盖受刑。" * 2
)
HEARD = "今夜会有东风吗？"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CALL = {"name": "get_weather", "arguments": '{"city": "赤壁"}'}


@dataclass
class Wire:
    """What passes between the clients and the server.

    Attributes:
        tap: The relay.
        dialect: That the sessions of this test speak.
    """

    tap: Tap
    dialect: Dialect = "ga"

    @property
    def base_url(self) -> str:
        """Of the OpenAI interface."""
        return f"{self.tap.base_url}/v1"

    @property
    def realtime_url(self) -> str:
        return f"{self.tap.ws_url}/v1/realtime"

    def kinds(self) -> list[str]:
        """The types of all that the server said in the latest session."""
        return [event["type"] for event in self.tap.sockets()[-1].events]

    def events(self, kind: str) -> list[dict]:
        return [each for each in self.tap.sockets()[-1].events if each["type"] == kind]

    def client_events(self, kind: str) -> list[dict]:
        return [each for each in self.tap.sockets()[-1].client_events if each["type"] == kind]

    def check(self) -> None:
        for exchange in self.tap.sockets():
            check_session(exchange, self.dialect)


@pytest.fixture(scope="package")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="package")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server({**providers.settings, "SPEECH_CACHE_MB": "0"}) as process:
        yield process


@pytest.fixture(scope="package")
def caller(server: ServerProcess) -> Caller:
    return Caller.register(server.base_url)


@pytest.fixture(scope="package")
def zhuge(caller: Caller) -> str:
    """A character as a model."""
    return f"role:{caller.account.role('诸葛亮')}"


@pytest.fixture(scope="package")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file into which somebody speaks, PCM16 mono at 24 kHz."""
    path = tmp_path_factory.mktemp("microphone") / "utterance.pcm"
    path.write_bytes(utterance(after_ms=1_500))
    return str(path)


@pytest.fixture(scope="module")
def relay(server: ServerProcess) -> Iterator[Tap]:
    with tap(server.base_url) as running:
        yield running


@pytest.fixture
def wire(relay: Tap, providers: ProviderProcess) -> Iterator[Wire]:
    """The relay, from which every frame of the test is checked when the test has ended."""
    providers.reset()
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text=HEARD)
    relay.forget()
    wire = Wire(relay)
    yield wire
    wire.check()
