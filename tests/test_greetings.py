"""Greetings: spoken when a role is saved, and played from what was kept."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from chat.greetings import greeting_text
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server
from voice.audio.decode import decode_clip

GREETING = "（轻摇羽扇）{{user}}来了？{{char}}在此恭候多时。"
SPOKEN = "你来了？孔明在此恭候多时。"


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server(providers.settings) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(providers: ProviderProcess) -> None:
    providers.reset()


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Client:
    return Client.register(server.base_url)


def spoken(providers: ProviderProcess) -> list[str]:
    """What the loopback server was asked to say."""
    return [e["body"]["input"] for e in providers.log()["exchanges"] if e["endpoint"] == "speech"]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def add(client: Client, **changes: object) -> int:
    return client.add_role(**{"name": "孔明", "greeting": GREETING, **changes})


def url_of(client: Client, role: int) -> str | None:
    url: str | None = client.get(f"/api/role/{role}/greeting")["url"]
    return url


def test_what_is_spoken_of_a_greeting() -> None:
    assert greeting_text(greeting=GREETING, name="孔明", language="zh") == SPOKEN
    text = greeting_text(greeting="*waves* Hello, {{user}}! 🎉", name="Emma", language="en")
    assert text == "Hello, you!"
    assert not greeting_text(greeting="*waves*", name="Emma", language="en")


def test_a_greeting_is_spoken_when_its_role_is_saved(client, server, providers) -> None:
    role = add(client)
    until(lambda: SPOKEN in spoken(providers))
    until(lambda: url_of(client, role))
    answer = httpx.get(server.base_url + (url_of(client, role) or ""))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/flac")
    clip = decode_clip(answer.content, max_seconds=60, max_bytes=10**7)
    assert clip.seconds > 1
    assert spoken(providers) == [SPOKEN]


def test_a_greeting_outlives_its_provider(client, providers) -> None:
    role = add(client, name="子房")
    until(lambda: url_of(client, role))
    providers.script("speech", status=503)
    assert url_of(client, role)


def test_a_role_that_changes_is_heard_anew(client, providers) -> None:
    role = add(client, name="伯约")
    until(lambda: url_of(client, role))
    before = url_of(client, role)
    change = {"greeting": "久违了。"}
    assert client.request("PUT", f"/api/role/{role}", json=change).status_code == 200
    until(lambda: "久违了。" in spoken(providers))
    until(lambda: url_of(client, role) not in (None, before))
    # What is not heard in a greeting does not have it spoken again.
    change = {"description": "另一段足够长的角色描述，十字以上。"}
    assert client.request("PUT", f"/api/role/{role}", json=change).status_code == 200
    assert url_of(client, role) != before
    assert len(spoken(providers)) == 2


def test_a_greeting_that_failed_is_spoken_when_somebody_asks(client, providers) -> None:
    providers.script("speech", status=503)
    role = add(client, name="公瑾")
    until(lambda: spoken(providers))
    assert url_of(client, role) is None
    providers.reset()
    until(lambda: url_of(client, role), 40)


def test_a_role_without_words_to_say(client, providers) -> None:
    silent = add(client, greeting="（点头）")
    for role in (silent, client.add_role(), 10**12):
        answer = client.request("GET", f"/api/role/{role}/greeting")
        assert (answer.status_code, answer.json()["data"]) == (404, None)
        assert answer.json()["message"]
    # The greeting of another test's conversation may be spoken only now.
    assert not any("点头" in text or not text.strip() for text in spoken(providers))


def test_a_greeting_is_for_users(client, server) -> None:
    role = add(client)
    assert httpx.get(f"{server.base_url}/api/role/{role}/greeting").status_code == 401


def test_where_nobody_speaks_it_is_said() -> None:
    with start_server() as silent:
        client = Client.register(silent.base_url)
        role = add(client)
        answer = client.request("GET", f"/api/role/{role}/greeting")
        assert (answer.status_code, answer.json()["code"]) == (503, 503)
