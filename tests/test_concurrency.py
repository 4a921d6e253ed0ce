"""Requests of one user at once: those beyond the bound are told so, in OpenAI's form."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from accounts.concurrency import TooManyAtOnce, place
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers(tts_first_ms=1_500, llm_first_ms=1_500) as running:
        yield running


@pytest.fixture(scope="module")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    limits = {"USER_CONCURRENCY": "2", "RATE_LIMITS": "on", "SPEECH_CACHE_MB": "0"}
    with start_server({**providers.settings, **limits}) as running:
        yield running


def test_places_are_given_back(settings) -> None:
    settings.RATE_LIMITS, settings.USER_CONCURRENCY = True, 2
    with place(1), place(1), place(2), pytest.raises(TooManyAtOnce), place(1):
        raise AssertionError
    with place(1), place(1):
        pass
    settings.USER_CONCURRENCY = 0
    with place(1), place(1), place(1):
        pass


def test_more_requests_at_once_than_allowed(server, providers) -> None:
    mine, other = Client.register(server.base_url), Client.register(server.base_url)

    def say(client: Client) -> httpx.Response:
        return httpx.post(
            f"{server.base_url}/v1/audio/speech",
            json={"model": "tts-1", "voice": "alloy", "input": "你好，世界。"},
            headers=client.headers,
            timeout=30,
        )

    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(say, [mine, mine, mine, mine, other]))
    assert sorted(answer.status_code for answer in answers[:4]) == [200, 200, 429, 429]
    assert answers[4].status_code == 200
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert say(mine).status_code == 200


def test_a_client_that_leaves_gives_its_place_back(server) -> None:
    client = Client.register(server.base_url)
    body = {"model": "tts-1", "voice": "alloy", "input": "你好，世界。"}
    url = f"{server.base_url}/v1/audio/speech"
    for _ in range(4):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=body, headers=client.headers, timeout=0.3)
    assert httpx.post(url, json=body, headers=client.headers, timeout=30).status_code == 200
