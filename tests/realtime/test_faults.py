"""Providers, workers and Redis that fail in the middle of a session: it goes on."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from tests.platform import ProviderProcess, loopback_providers
from tests.processes import ManagedProcess, ServerProcess, start, start_server
from tests.realtime.client import Call, assert_in_order, call, wait_until
from tests.realtime.microphone import Microphone, hiss, speech
from tests.services import PostgresServer, RedisServer
from tests.v1.conftest import Caller

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

REPLY = "东风要到三更才起。你先回营歇着，莫要声张。"
LONG = "且听我慢慢道来。这一夜的风，要从南屏山上说起。" * 8
SLOW = {"text": LONG, "pace": {"llm_first_ms": 30, "tokens_per_second": 40}}


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(autouse=True)
def _healthy(providers) -> Iterator[None]:
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text="今夜会有东风吗")
    yield
    providers.reset()


@pytest.fixture
def impatient(providers) -> Iterator[ServerProcess]:
    """A server that waits for no provider for long; new, for breakers remember."""
    patience = dict.fromkeys(("LLM_FIRST_SECONDS", "ASR_FIRST_SECONDS", "TTS_FIRST_SECONDS"), "1")
    with start_server({**providers.settings, **patience}) as server:
        yield server


def assert_failed(line: Call, timeout: float = 20) -> dict:
    response = line.until("response.done", timeout)["response"]
    assert response["status"] == "failed", response
    details = response["status_details"]
    assert details["type"] == "failed"
    assert details["error"]["message"]
    assert "Traceback" not in str(details)
    assert_in_order(line.events)
    return response


@pytest.mark.parametrize(
    ("endpoint", "behaviour"),
    [
        ("chat", {"status": 429}),
        ("chat", {"status": 500}),
        ("chat", {"status": 401}),
        ("chat", {"fault": "stall_first"}),
        ("chat", {"fault": "drop_before"}),
        ("chat", {"fault": "drop_middle", "text": LONG}),
        ("chat", {"fault": "invalid_json", "text": LONG}),
        ("speech", {"status": 503}),
        ("speech", {"fault": "stall_first"}),
    ],
)
def test_a_reply_that_cannot_be_made_fails_and_the_session_lives(
    impatient, providers, endpoint, behaviour
):
    caller = Caller.register(impatient.base_url)
    with call(impatient.ws_url, key=caller.key) as line:
        providers.script(endpoint, **behaviour)
        line.say("今夜会有东风吗？")
        line.send("response.create")
        assert_failed(line, 40)
        providers.reset()
        providers.script("chat", text=REPLY)

        def answered() -> bool:  # a breaker may want its time
            return line.ask("再说一遍。")["status"] == "completed"

        wait_until(answered, 60)
        assert_in_order(line.events)
    assert "Traceback" not in impatient.log()


def test_speech_that_cannot_be_recognised(impatient, providers):
    caller = Caller.register(impatient.base_url)
    providers.script("transcriptions", status=500)
    with call(impatient.ws_url, key=caller.key) as line:
        audio = {"input": {"transcription": {"model": "whisper-1"}}}
        line.send("session.update", session={"type": "realtime", "audio": audio})
        line.until("session.updated")
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            failed = line.until("conversation.item.input_audio_transcription.failed", 30)
            assert failed["error"]["message"]
            assert_failed(line)
        assert line.ask("那就写字。", output_modalities=["text"])["status"] == "completed"
    assert "Traceback" not in impatient.log()


def test_a_budget_that_is_spent_fails_the_next_reply(providers):
    with start_server({**providers.settings, "RATE_LIMITS": "on"}) as server:
        caller = Caller.register(server.base_url, monthly_tokens=1)
        with call(server.ws_url, key=caller.key) as line:
            # What is not known before it is let pass; the next one is refused.
            assert line.ask("第一句。", output_modalities=["text"])["status"] == "completed"
            limits = line.of("rate_limits.updated")[0]["rate_limits"]
            assert limits[0]["name"] == "tokens"
            assert limits[0]["limit"] == 1

            def refused() -> bool:
                response = line.ask("下一句。", output_modalities=["text"])
                error = (response["status_details"] or {}).get("error", {})
                return error.get("code") == "insufficient_quota"

            wait_until(refused)
            assert_in_order(line.events)


def test_responses_count_as_requests_of_their_user(providers):
    limits = {"RATE_LIMITS": "on", "USER_REQUESTS_PER_MINUTE": "6"}
    with start_server({**providers.settings, **limits}) as server:
        caller = Caller.register(server.base_url)
        with call(server.ws_url, key=caller.key) as line:

            def refused() -> bool:
                response = line.ask("又一句。", output_modalities=["text"])
                error = (response["status_details"] or {}).get("error", {})
                return error.get("code") == "rate_limit_exceeded"

            wait_until(refused)
            first, *_, last = [done["response"]["status"] for done in line.of("response.done")]
            assert (first, last) == ("completed", "failed")
            # Seven at most, or as many again where a minute ended meanwhile.
            assert len(line.of("response.done")) <= 2 * 6 + 1
            assert_in_order(line.events)


# --- scaled


@dataclass
class Platform:
    redis: RedisServer
    postgres: PostgresServer
    server: ServerProcess
    workers: list[ManagedProcess]

    def restore(self, count: int = 1) -> None:
        """So many workers that show a beat."""
        self.workers[:] = [each for each in self.workers if each.process.poll() is None]
        while len(self.workers) < count:
            command = [sys.executable, "manage.py", "serve", "worker"]
            self.workers.append(start("worker", command, self.server.environment))
        wait_until(lambda: self.alive() == count, 60)

    def alive(self) -> int:
        with redis.Redis.from_url(self.redis.url) as client:
            return len(client.keys("liyuan:worker:*"))


@pytest.fixture(scope="module")
def platform(providers) -> Iterator[Platform]:
    with (
        RedisServer() as redis_server,
        PostgresServer() as postgres,
        start_server(
            {
                **providers.settings,
                "REDIS_URL": redis_server.url,
                "DATABASE_URL": postgres.url,
                "REALTIME_RUNNER": "celery",
            }
        ) as server,
    ):
        whole = Platform(redis_server, postgres, server, [])
        yield whole
        for worker in whole.workers:
            worker.stop()


@pytest.fixture
def scaled(platform) -> Platform:
    platform.restore()
    return platform


@pytest.fixture
def scaled_caller(scaled) -> Caller:
    return Caller.register(scaled.server.base_url)


def test_a_spoken_turn_in_a_worker(scaled, scaled_caller):
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            response = line.until("response.done", 30)["response"]
        assert response["status"] == "completed"
        assert len(line.audio()) > 48_000
        assert_in_order(line.events)
    spent = wait_until(lambda: len(found := scaled_caller.spent()) >= 4 and found)
    assert spent["seconds"] > 1


def test_a_cancel_reaches_the_worker(scaled, scaled_caller, providers):
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        providers.script("chat", SLOW)
        line.say("从头讲来。")
        line.send("response.create")
        line.until("response.output_audio.delta")
        line.send("response.cancel")
        assert line.until("response.done")["response"]["status"] == "cancelled"
        wait_until(lambda: providers.log()["counts"]["chat"].get("cancelled"), 5)


def test_a_worker_killed_in_the_middle_of_a_reply(scaled, scaled_caller, providers):
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        providers.script("chat", SLOW)
        line.say("从头讲来。")
        line.send("response.create")
        line.until("response.output_audio.delta")
        for worker in scaled.workers:
            worker.kill()
        begun = time.monotonic()
        assert_failed(line)
        assert time.monotonic() - begun < 12
        scaled.restore()
        assert line.ask("再说一遍。")["status"] == "completed"
        assert_in_order(line.events)
    log = scaled.server.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]


def test_without_a_worker_the_reply_fails_soon(scaled, scaled_caller):
    for worker in scaled.workers:
        worker.stop()
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        line.say("有人吗？")
        line.send("response.create")
        assert_failed(line)
        scaled.restore()
        wait_until(lambda: line.ask("现在呢？")["status"] == "completed", 60)


def test_redis_gone_in_the_middle_of_a_reply(scaled, scaled_caller, providers):
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        providers.script("chat", SLOW)
        line.say("从头讲来。")
        line.send("response.create")
        line.until("response.output_audio.delta")
        scaled.redis.kill()
        assert_failed(line, 30)
        line.say("有人吗？")
        line.send("response.create")
        assert_failed(line, 30)
        scaled.redis.start()
        scaled.restore()
        wait_until(lambda: line.ask("现在呢？")["status"] == "completed", 60)
        assert_in_order(line.events)
    log = scaled.server.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]


def test_the_database_gone_while_somebody_speaks(scaled, scaled_caller):
    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        assert line.ask("第一句。", output_modalities=["text"])["status"] == "completed"
        time.sleep(0.5)
        with Microphone(line) as microphone:
            microphone.say(hiss(0.5) + speech(1.6))
            line.until("input_audio_buffer.speech_started")
            scaled.postgres.stop()
            line.until("input_audio_buffer.committed")
            time.sleep(12)  # longer than the pool waits for a connection
            scaled.postgres.start()
            line.until("response.done", 60)
        assert "error" not in line.types()
        assert_in_order(line.events)

    def heard() -> bool:
        rows = scaled_caller.account.get("/api/conversations")["list"]
        path = f"/api/conversations/{rows[0]['id']}/messages"
        messages = scaled_caller.account.get(path)["list"]
        return any(m["text"] == "今夜会有东风吗" and m["audio_url"] for m in messages)

    wait_until(heard, 40)


def test_the_database_gone_for_a_while(scaled, scaled_caller):
    def stored() -> list[str]:
        rows = scaled_caller.account.get("/api/conversations")["list"]
        path = f"/api/conversations/{rows[0]['id']}/messages"
        return [m["text"] for m in scaled_caller.account.get(path)["list"]]

    with call(scaled.server.ws_url, key=scaled_caller.key) as line:
        assert line.ask("第一句。", output_modalities=["text"])["status"] == "completed"
        wait_until(lambda: stored()[-2:-1] == ["第一句。"])  # and the answer to it
        scaled.postgres.stop()
        line.say("第二句。", id="item_lost")
        line.until("conversation.item.done", 40)
        error = line.until("error", 40)["error"]
        assert error["type"] == "server_error"
        assert "item_lost" in error["message"]
        scaled.postgres.start()
        wait_until(lambda: line.ask("第三句。")["status"] == "completed", 60)
        assert_in_order(line.events)
    wait_until(lambda: "第三句。" in stored())
    assert "第二句。" not in stored()
