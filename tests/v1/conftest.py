import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server


@dataclass
class Caller:
    """A user with an API key."""

    account: Client
    key: str
    key_id: int

    @classmethod
    def register(cls, base_url: str, **limits: int) -> "Caller":
        account = Client.register(base_url)
        name = uuid.uuid4().hex[:8]
        answer = account.request("POST", "/api/keys", json={"name": name, **limits})
        assert answer.status_code == 200, answer.text
        made = answer.json()["data"]
        return cls(account, made["key"], made["id"])

    @property
    def url(self) -> str:
        return f"{self.account.base_url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=30, **options)

    def say(self, **fields: Any) -> httpx.Response:
        body = {"model": "tts-1", "input": "你好，世界。", "voice": "alloy", **fields}
        return self.ask("POST", "/audio/speech", json=body)

    def spent(self) -> dict[str, float]:
        """By unit, this month."""
        return self.account.get("/api/usage")["amounts"]


@pytest.fixture(scope="package")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="package")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    """A web process with an OpenAI-style server behind it for everything."""
    # The same words are said in many tests: each is to reach the provider.
    with start_server({**providers.settings, "SPEECH_CACHE_MB": "0"}) as process:
        yield process


@pytest.fixture(scope="package")
def caller(server: ServerProcess) -> Caller:
    """One user for all tests that change nothing of theirs: passwords take their time."""
    return Caller.register(server.base_url)


@pytest.fixture
def another(server: ServerProcess) -> Caller:
    return Caller.register(server.base_url)


@pytest.fixture(autouse=True)
def _healthy_providers(providers: ProviderProcess) -> Iterator[None]:
    yield
    providers.reset()


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error object of an answer, which must be exactly OpenAI's."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    return body["error"]
