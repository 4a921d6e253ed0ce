"""When all providers fail: a clear error in each protocol's form, soon, and an apology."""

import base64
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.audio_samples import sample
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server
from voice.apology import sentence
from voice.audio.decode import decode_clip

CALL = "/api/ws/voice_chat"
# The bound is 5 s; what a busy machine takes on top is not the platform's.
SOON = 6.5
FAULTS = [{"status": 503}, {"status": 401}, {"fault": "stall_before"}, {"fault": "drop_before"}]


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
    providers.script("chat", text="久仰久仰。今日得见，实是幸会。")
    providers.script("transcriptions", text="你好")


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Client:
    return Client.register(server.base_url)


@pytest.fixture(scope="module")
def role(client: Client) -> int:
    return client.add_role()


def spoken(providers: ProviderProcess) -> list[str]:
    return [e["body"]["input"] for e in providers.log()["exchanges"] if e["endpoint"] == "speech"]


def heard(messages: list[dict[str, object]]) -> float:
    """Seconds of the audio pieces, which must be one playable mp3."""
    audio = b"".join(base64.b64decode(str(m["data"])) for m in messages if m["type"] == "audio")
    return decode_clip(audio, max_seconds=60, max_bytes=10**7).seconds


@pytest.mark.parametrize("endpoint", ["chat", "transcriptions", "speech"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_call_fails_soon_and_clearly(client, role, providers, endpoint, fault) -> None:
    url = client.upload(sample("mp3"))
    providers.script(endpoint, **fault)
    with client.socket(CALL) as socket:
        began = time.monotonic()
        socket.send({"role_id": role, "voice_url": url, "format": "mp3"})
        *before, last = socket.until_final()
        assert time.monotonic() - began < SOON
    assert all(m["type"] == "audio" and not m["is_final"] for m in before)
    assert set(last) == {"type", "data", "format", "is_final"}
    assert (last["type"], last["format"], last["is_final"]) == ("error", "", True)
    assert last["data"]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_chat_fails_soon_and_clearly(client, role, providers, fault) -> None:
    providers.script("chat", **fault)
    with client.socket() as socket:
        began = time.monotonic()
        message = {"role_id": role, "message": "你好", "type": "text", "response_type": 0}
        answer = socket.ask(message)
        assert time.monotonic() - began < SOON
    assert set(answer) == {"error", "code"}
    assert answer["code"] == (504 if fault.get("fault") == "stall_before" else 502)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_openai_api_fails_soon_and_clearly(client, server, providers, fault) -> None:
    for endpoint in ("chat", "transcriptions", "speech"):
        providers.script(endpoint, **fault)
    asked = {
        "/v1/audio/speech": {
            "json": {"model": "tts-1", "voice": "alloy", "input": f"没有说过的话 {time.time()}"}
        },
        "/v1/audio/transcriptions": {
            "files": {"file": ("a.mp3", sample("mp3"))},
            "data": {"model": "whisper-1"},
        },
    }
    for path, body in asked.items():
        began = time.monotonic()
        answer = httpx.post(server.base_url + path, headers=client.headers, timeout=30, **body)
        assert time.monotonic() - began < SOON
        assert answer.status_code in (502, 503), (path, answer.text)
        assert answer.json()["error"]["message"]


# The apology


def test_a_voice_that_fails_apologises_with_what_it_kept(client, role, providers) -> None:
    url = client.upload(sample("mp3"))
    say = {"role_id": role, "voice_url": url, "format": "mp3"}
    with client.socket(CALL) as socket:
        socket.send(say)
        assert socket.until_final()[-1]["type"] == "audio"
        end = time.monotonic() + 20
        while sentence("zh") not in spoken(providers) and time.monotonic() < end:
            time.sleep(0.05)  # after the first reply that it spoke, each voice of a process
        providers.script("speech", status=503)
        deadline = time.monotonic() + 20
        while True:  # until the apology has reached its store
            socket.send(say)
            *before, last = socket.until_final()
            assert last["type"] == "error"
            if before or time.monotonic() > deadline:
                break
        assert heard(before) > 1
        assert not any(m["is_final"] for m in before)


def test_an_apology_follows_what_was_said_before(client, role, providers) -> None:
    """The first sentence is heard, the second one fails: one playable mp3 all the same."""
    url = client.upload(sample("mp3"))
    say = {"role_id": role, "voice_url": url, "format": "mp3"}
    first = "今天的天气实在是好得很，我们一起出去走一走吧。"
    providers.script("chat", text=first + "第二句话就说不出来了，实在是抱歉得很。" * 3)
    with client.socket(CALL) as socket:
        socket.send(say)
        whole = heard(socket.until_final())
        # Each segment is one request: the first is spoken, those after it are not.
        providers.script("speech", {}, status=503)
        socket.send(say)
        *before, last = socket.until_final()
    assert last["type"] == "error"
    assert 1 < heard(before) < whole


def test_a_client_that_streams_a_chat_hears_it_too(client, role, providers) -> None:
    providers.script("speech", status=503)
    with client.socket() as socket:
        message = {"role_id": role, "message": "你好", "type": "text", "response_type": 1}
        assert set(socket.ask(message)) == {"error", "code"}
        socket.send({**message, "stream": True})
        *before, last = socket.until_final()
    assert "error" in last
    assert heard([m for m in before if m["type"] == "audio"]) > 1
