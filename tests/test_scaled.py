"""Scaled mode as real processes, and what happens when its parts break.

Own Redis, own PostgreSQL, one web process (uvicorn), two workers for turns.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.audio_samples import sample
from tests.platform import Client, ProviderProcess, Socket, is_final, loopback_providers
from tests.processes import ManagedProcess, ServerProcess, start, start_server
from tests.services import PostgresServer, RedisServer
from tests.test_ws_contract import REPLY, call, joined, seconds_of, text

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@dataclass
class Platform:
    redis: RedisServer
    postgres: PostgresServer
    providers: ProviderProcess
    server: ServerProcess
    workers: list[ManagedProcess]

    def start_worker(self, role: str = "worker") -> ManagedProcess:
        command = [sys.executable, "manage.py", "serve", role]
        return start(role, command, self.server.environment)

    def alive(self) -> int:
        """Workers for turns that show a beat."""
        with redis.Redis.from_url(self.redis.url) as client:
            return len(client.keys("liyuan:worker:*"))

    def restore(self) -> None:
        """Two workers, as before a test."""
        self.workers[:] = [w for w in self.workers if w.process.poll() is None]
        while len(self.workers) < 2:
            self.workers.append(self.start_worker())
        wait_until(lambda: self.alive() == 2)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with (
        RedisServer() as redis_server,
        PostgresServer() as postgres,
        loopback_providers() as providers,
        start_server(
            {
                **providers.settings,
                "REDIS_URL": redis_server.url,
                "DATABASE_URL": postgres.url,
                "SOCKETS_PER_USER": "200",
            }
        ) as server,
    ):
        whole = Platform(redis_server, postgres, providers, server, [])
        whole.restore()
        yield whole
        for worker in whole.workers:
            worker.stop()


@pytest.fixture
def client(platform: Platform) -> Client:
    platform.restore()
    platform.providers.reset()
    platform.providers.script("chat", text=REPLY)
    platform.providers.script("transcriptions", text="今夜会有东风吗")
    return Client.register(platform.server.base_url)


@pytest.fixture
def role(client: Client) -> int:
    return client.role("诸葛亮")


def messages_of(client: Client) -> list[dict]:
    """All that is stored of a user's one conversation."""
    conversation = client.get("/api/conversations")["list"][0]["id"]
    return client.get(f"/api/conversations/{conversation}/messages", params={"limit": 100})["list"]


def slow_reply(platform: Platform, text_: str = REPLY * 6) -> None:
    platform.providers.script(
        "chat", text=text_, pace={"llm_first_ms": 50, "tokens_per_second": 20}
    )


def test_text_voice_and_call(client, role, platform):
    url = client.upload(sample("mp3"))
    with client.socket() as socket:
        assert socket.ask(text(role))["message"] == REPLY
        assert socket.ask(text(role, response_type=1))["type"] == "voice"
    with client.socket("/api/ws/voice_chat") as socket:
        socket.send(call(role, url))
        assert seconds_of(joined(socket.until_final())) > 0.5


def test_what_a_worker_has_spoken_is_served_by_the_web_process(client, platform):
    role = client.add_role(greeting="（拱手）久候多时了，今夜必有东风。")
    wait_until(lambda: client.get(f"/api/role/{role}/greeting")["url"])
    url = platform.server.base_url + client.get(f"/api/role/{role}/greeting")["url"]
    answer = httpx.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/flac")
    # A turn's voice has its apology spoken by the same worker; whichever comes later hears it.
    with client.socket("/api/ws/voice_chat") as socket:
        say = call(role, client.upload(sample("mp3")))
        socket.send(say)
        assert socket.until_final()[-1]["type"] == "audio"
        # One is left for the apology, where it was not asked for by now.
        platform.providers.script("speech", {}, status=503)

        def apologises() -> bool:
            socket.send(say)
            *before, last = socket.until_final()
            return last["type"] == "error" and bool(before) and seconds_of(joined(before)) > 1

        wait_until(apologises)


def test_a_hundred_turns_at_once(client, role, platform):
    platform.providers.script(
        "chat", text=REPLY, pace={"llm_first_ms": 200, "tokens_per_second": 60}
    )
    answers: list[list[dict]] = []
    failures: list[Exception] = []
    ready = threading.Barrier(100)

    def talk(number: int) -> None:
        try:
            with client.socket() as socket:
                ready.wait(60)
                socket.send(text(role, f"第{number}句", id=f"h{number}", stream=True))
                answers.append(socket.until_final(60))
                assert socket.silent(0.2)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for messages in answers:
        assert messages[-1].get("message") == REPLY, messages[-1]
        assert "".join(m["message"] for m in messages if m["type"] == "delta") == REPLY
    assert len(answers) == 100
    said = [m["text"] for m in client_messages(client) if m["author"] == "user"]
    assert sorted(said) == sorted(f"第{number}句" for number in range(100))


def client_messages(client: Client) -> list[dict]:
    found = []
    for conversation in client.get("/api/conversations", params={"page_size": 100})["list"]:
        before = {}
        while True:
            page = client.get(
                f"/api/conversations/{conversation['id']}/messages",
                params={"limit": 100, **before},
            )
            found += page["list"]
            if not page["has_more"]:
                break
            before = {"before": page["list"][0]["id"]}
    return found


def test_a_worker_killed_in_mid_turn(client, role, platform):
    """Streamed words cannot be taken back: the turn fails, clearly and once."""
    slow_reply(platform)
    with client.socket() as socket:
        socket.send(text(role, id="k1", stream=True))
        assert socket.receive()["type"] == "delta"
        for worker in platform.workers:
            worker.kill()
        final = socket.until_final(30)[-1]
        assert final["code"] == 502
        assert final["id"] == "k1"
        platform.restore()
        platform.providers.script("chat", text=REPLY)
        assert socket.ask(text(role))["message"] == REPLY
    states = [m["status"] for m in messages_of(client) if m["author"] == "user"]
    assert states == ["failed", "completed"]


def test_a_worker_killed_before_anything_was_sent(client, role, platform):
    """Nothing was heard of the first run, so another worker runs the turn again."""
    platform.providers.script("chat", text=REPLY, pace={"llm_first_ms": 3000})
    with client.socket() as socket:
        socket.send(text(role, id="k2", stream=True))
        wait_until(lambda: platform.providers.log()["counts"].get("chat", {}).get("started") == 1)
        for worker in platform.workers:
            worker.kill()
        platform.restore()
        final = socket.until_final(60)[-1]
        assert final["message"] == REPLY
        assert socket.silent(0.5)
    assert platform.providers.log()["counts"]["chat"]["started"] == 2
    assert [m["author"] for m in messages_of(client)] == ["assistant", "user", "assistant"]


def test_redis_stopped_and_started(client, role, platform):
    slow_reply(platform)
    with client.socket() as socket, client.socket() as other:
        socket.send(text(role, id="r1", stream=True))
        assert socket.receive()["type"] == "delta"
        platform.redis.stop()
        refused = other.ask(text(role, "还在吗", id="r2"), timeout=40)
        assert refused["code"] == 502
        time.sleep(1)
        platform.redis.start()
        messages = socket.until_final(60)
        assert is_final(messages[-1])
        assert sum(map(is_final, messages)) == 1
        assert messages[-1].get("message") == REPLY * 6
        wait_until(lambda: platform.alive() == 2)
        platform.providers.script("chat", text=REPLY)
        assert other.ask(text(role, id="r3"), timeout=40)["message"] == REPLY
        assert socket.ask(text(role, id="r4"), timeout=40)["message"] == REPLY
    said = [m for m in messages_of(client) if m["author"] == "user"]
    assert [(m["client_id"], m["status"]) for m in said] == [
        ("r1", "completed"),
        ("r2", "failed"),
        ("r3", "completed"),
        ("r4", "completed"),
    ]


def test_the_database_restarted_in_mid_turn(client, role, platform):
    slow_reply(platform)
    with client.socket() as socket:
        socket.send(text(role, id="d1", stream=True))
        assert socket.receive()["type"] == "delta"
        platform.postgres.restart()
        final = socket.until_final(60)[-1]
        assert final["message"] == REPLY * 6
        platform.providers.script("chat", text=REPLY)
        answer = socket.ask(text(role, id="d2"), timeout=40)
        assert answer.get("message") == REPLY, answer
    assert [m["status"] for m in messages_of(client)] == ["completed"] * 5


def test_a_connection_cut_between_two_messages_is_no_error(client, role, platform):
    """A database restarted or a firewall's timeout: the connections at hand are dead."""
    with client.socket() as socket:
        for number in range(5):
            assert platform.postgres.cut_connections() > 0
            answer = socket.ask(text(role, f"第{number}句"), timeout=20)
            assert answer.get("message") == REPLY, answer


def test_the_database_away_is_an_error_and_the_socket_lives(client, role, platform):
    with client.socket() as socket:
        platform.postgres.stop()
        try:
            error = socket.ask(text(role, id="a1"), timeout=60)
        finally:
            platform.postgres.start()
        assert error["code"] == 500
        assert error["id"] == "a1"
        # What was refused was not stored: the same id may be sent again.
        assert socket.ask(text(role, id="a1"), timeout=40)["message"] == REPLY


def test_a_slow_reader_is_cut_off_and_hurts_nobody(client, role, platform):
    """Its turn goes on without it, and the reply is there when it comes back."""
    platform.providers.script("chat", text=REPLY)
    with client.socket() as quick:
        url = platform.server.ws_url + "/api/ws/chat"
        # It asks again and again and never reads a byte.
        with connect(url, additional_headers=client.headers, max_queue=1) as slow:
            stuck = Socket(slow)
            for number in range(5):
                stuck.send(text(role, id=f"s{number}", stream=True, response_type=1))
            started = time.monotonic()
            assert quick.ask(text(role, id="quick"))["message"] == REPLY
            assert time.monotonic() - started < 10
        replies = [quick.ask(text(role, id=f"s{n}", response_type=1)) for n in range(5)]
    assert all(reply["type"] == "voice" for reply in replies)


def test_cancel_reaches_another_process(client, role, platform):
    slow_reply(platform, REPLY * 40)
    with client.socket() as socket:
        socket.send(text(role, id="c1", stream=True))
        assert socket.receive()["type"] == "delta"
        socket.send({"type": "cancel", "id": "c1"})
        began = time.monotonic()
        final = socket.until_final(5)[-1]
    assert final["status"] == "cancelled"
    assert time.monotonic() - began < 1.5
    assert platform.providers.log()["counts"]["chat"]["cancelled"] == 1


def test_the_same_id_on_a_second_socket_follows_the_running_turn(client, role, platform):
    slow_reply(platform)
    with client.socket() as one, client.socket() as two:
        one.send(text(role, id="x", stream=True))
        assert one.receive()["type"] == "delta"
        two.send(text(role, id="x", stream=True))
        first, second = one.until_final(30), two.until_final(30)
    assert first[-1] == second[-1]
    assert "".join(m["message"] for m in second if m["type"] == "delta") == REPLY * 6


def test_a_server_asked_to_stop_lets_turns_end(client, role, platform):
    """SIGTERM to a worker in mid-turn: it finishes what it began."""
    slow_reply(platform, REPLY * 2)
    with client.socket() as socket:
        socket.send(text(role, id="t1", stream=True))
        assert socket.receive()["type"] == "delta"
        stopping = [threading.Thread(target=worker.stop) for worker in platform.workers]
        for thread in stopping:
            thread.start()
        assert socket.until_final(30)[-1]["message"] == REPLY * 2
        for thread in stopping:
            thread.join()


def test_a_socket_is_closed_with_a_reason_when_its_server_stops(platform, client, role):
    env = dict(platform.server.environment)
    env.pop("PORT")
    with start_server(env, prepared=False) as second:
        here = Client(second.base_url, client.access, client.refresh, client.user_id, "")
        with here.socket() as socket:
            second.stop()
            with pytest.raises(ConnectionClosed) as closed:
                socket.receive(10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code in (1001, 1012)


def test_a_summary_is_written_in_the_background(client, role, platform):
    background = platform.start_worker("background")
    try:
        with client.socket() as socket:
            for number in range(40):
                socket.ask(text(role, f"第{number}句话"))
        wait_until(
            lambda: any(
                "不超过200字" in str(e["body"]) for e in platform.providers.log()["exchanges"]
            )
        )
        with client.socket() as socket:
            wait_until(lambda: summary_is_used(platform, socket, role))
    finally:
        background.stop()


def summary_is_used(platform: Platform, socket: Socket, role: int) -> bool:
    socket.ask(text(role))
    asked = platform.providers.log()["exchanges"][-1]["body"]["messages"]
    return any(m["role"] == "system" and "之前谈过的事" in m["content"] for m in asked)
