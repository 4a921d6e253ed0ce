"""``/api/health``, asked of real servers whose parts come and go."""

import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import redis

from config.version import read_version
from tests.platform import loopback_providers
from tests.processes import ROOT, ManagedProcess, ServerProcess, start, start_server
from tests.services import PostgresServer, RedisServer

SECRETS = {"LLM_API_KEY": "loopback-key-that-is-secret", "SECRET_KEY": "k" * 50}


def health(server: ServerProcess) -> tuple[int, dict]:
    answer = httpx.get(f"{server.base_url}/api/health", timeout=10)
    body = answer.json()
    assert body.keys() == {"code", "message", "data"}
    assert body["code"] == answer.status_code
    return answer.status_code, body["data"]


def becomes(server: ServerProcess, condition: Callable[[int, dict], bool]) -> dict:
    """The report, once it fulfils the condition; a lost worker is known after 3 s."""
    until = time.monotonic() + 20
    while not condition(*(seen := health(server))):
        assert time.monotonic() < until, seen
        time.sleep(0.2)
    return seen[1]


def test_embedded_without_anything(server):
    code, data = health(server)
    assert code == 200
    assert data["version"] == read_version(ROOT / "CHANGELOG.md")
    assert data["mode"] == "embedded"
    assert data["database"]["ok"]
    assert 0 <= data["database"]["ms"] < 3000
    assert data["broker"]["ok"]
    assert data["worker"] == {"ok": True, "count": 1}
    assert data["providers"]["llm"] == {"name": "understudy", "offline": True, "model": ""}
    # SPEECH is off here: everything works but speech, and that is said.
    assert data["status"] == "degraded"
    for kind in ("asr", "tts"):
        assert data["providers"][kind]["available"] is False
        assert data["providers"][kind]["names"] == []
        assert "SPEECH" in data["providers"][kind]["reason"]


def test_whole_with_providers_and_nothing_secret_in_it():
    with (
        loopback_providers() as providers,
        start_server({**providers.settings, **SECRETS}) as server,
    ):
        code, data = health(server)
        text = httpx.get(f"{server.base_url}/api/health").text
        assert (code, data["status"]) == (200, "ok")
        assert data["providers"]["llm"] == {
            "name": "openai",
            "offline": False,
            "model": "loopback",
        }
        assert data["providers"]["asr"] == {"available": True, "names": ["openai"], "reason": ""}
        for hidden in (*SECRETS.values(), "loopback-key", providers.base_url, "127.0.0.1"):
            assert hidden not in text


def test_missing_weights_are_named(tmp_path):
    with start_server({"SPEECH": "on", "MODELS_DIR": str(tmp_path)}) as server:
        code, data = health(server)
    assert (code, data["status"]) == (200, "degraded")
    assert data["providers"]["tts"]["names"] == ["local"]
    assert "fetch_models" in data["providers"]["tts"]["reason"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods(server, method):
    answer = httpx.request(method, f"{server.base_url}/api/health")
    assert answer.status_code == 405
    assert answer.json() == {"code": 405, "message": "不支持的请求方法", "data": None}


def test_asked_often_it_looks_seldom(server):
    """Anybody may ask, so asking must stay cheap: the times measured are not new ones."""
    begun = time.monotonic()
    with httpx.Client() as client:
        seen = [client.get(f"{server.base_url}/api/health").json()["data"] for _ in range(60)]
    looks = (time.monotonic() - begun) / 0.5 + 2
    assert len({str(data["database"]["ms"]) for data in seen}) <= looks


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="module")
def scaled(redis_server, postgres) -> Iterator[ServerProcess]:
    values = {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres.url}
    with start_server(values) as running:
        yield running


@pytest.fixture
def worker(scaled) -> Iterator[ManagedProcess]:
    command = [sys.executable, "manage.py", "serve", "worker"]
    running = start("worker", command, scaled.environment)
    becomes(scaled, lambda code, data: code == 200)
    yield running
    running.kill()


@pytest.mark.system
@pytest.mark.timeout(240)
def test_without_a_worker_it_is_down(scaled):
    data = becomes(scaled, lambda code, data: data["worker"]["count"] == 0)
    assert health(scaled)[0] == 503
    assert data["status"] == "down"
    assert data["mode"] == "scaled"
    assert data["database"]["ok"]
    assert data["broker"]["ok"]
    assert data["worker"] == {"ok": False, "count": 0}


@pytest.mark.system
@pytest.mark.timeout(240)
def test_a_killed_worker_is_noticed(scaled, worker):
    assert health(scaled)[1]["worker"] == {"ok": True, "count": 1}
    worker.kill()
    killed = time.monotonic()
    becomes(scaled, lambda code, data: code == 503 and data["worker"]["count"] == 0)
    assert time.monotonic() - killed < 6


@pytest.mark.system
@pytest.mark.timeout(240)
def test_redis_stopped_and_started(scaled, worker, redis_server):
    redis_server.stop()
    data = becomes(scaled, lambda code, data: code == 503)
    assert data["broker"]["ok"] is False
    assert data["database"]["ok"] is True
    redis_server.start()
    becomes(scaled, lambda code, data: code == 200)


@pytest.mark.system
@pytest.mark.timeout(240)
def test_the_database_stopped_and_started(scaled, worker, postgres):
    postgres.stop()
    data = becomes(scaled, lambda code, data: code == 503)
    assert data["database"]["ok"] is False
    assert data["broker"]["ok"] is True
    postgres.start()
    becomes(scaled, lambda code, data: code == 200)


@pytest.mark.system
@pytest.mark.timeout(240)
def test_asking_does_not_gather_connections(scaled, redis_server):
    becomes(scaled, lambda code, data: data["worker"]["count"] == 0)
    with redis.Redis.from_url(redis_server.url) as client:
        health(scaled)
        before = len(client.client_list())
        for _ in range(8):
            time.sleep(0.6)
            health(scaled)
        assert len(client.client_list()) <= before + 1


@pytest.mark.system
@pytest.mark.timeout(240)
def test_inline_turns_need_no_worker(redis_server, postgres):
    values = {
        "REDIS_URL": redis_server.url,
        "DATABASE_URL": postgres.url,
        "TURN_RUNNER": "inline",
    }
    with start_server(values) as server:
        code, data = health(server)
    assert code == 200
    assert data["worker"]["ok"]
