"""The entry point of the image as plain processes, with the environment that Compose gives."""

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from celery import Celery

from tests.containers import (
    COMPOSE,
    entrypoint,
    healthcheck,
    interpolated,
    lay_out,
    plain,
    seconds,
    service_environment,
    start_role,
)
from tests.platform import Client, loopback_providers
from tests.processes import ManagedProcess, free_port, manage
from tests.services import PostgresServer, RedisServer, program
from tests.test_ws_contract import text

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

SECRETS = {
    "SECRET_KEY": "d8c1f0a94be2573360fe1c7a2b9d4e8597c40d2be16fa83355018bd9e7f2ac64",
    "POSTGRES_PASSWORD": "5e0fb2c77a9146d3",
}
NOWHERE = {"postgres:5432": "127.0.0.1:1", "redis:6379": "127.0.0.1:1"}
PROCESSES = ("web", "worker", "background", "beat")


class ComposeRedis(RedisServer):
    """Redis with the options of compose.yml."""

    def command(self) -> list[str]:
        _, *options = [interpolated(word, {}) for word in COMPOSE["services"]["redis"]["command"]]
        here = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return [program("redis-server"), *options, *here]


class ComposePostgres(PostgresServer):
    """PostgreSQL with the account of compose.yml, which is not a superuser here."""

    def start(self) -> None:
        made = self._made
        super().start()
        if not made:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("CREATE ROLE liyuan LOGIN")
                connection.execute("ALTER DATABASE liyuan OWNER TO liyuan")


@dataclass
class Installation:
    """All services of compose.yml."""

    given: dict[str, str]
    addresses: dict[str, str]
    fixed: dict[str, str]
    migration_log: str = ""
    processes: dict[str, ManagedProcess] = field(default_factory=dict)

    def environment(self, service: str) -> dict[str, str]:
        return {**service_environment(service, self.given, self.addresses), **self.fixed}

    def start(self, service: str) -> ManagedProcess:
        (role,) = COMPOSE["services"][service]["command"]
        return start_role(role, self.environment(service))


def health(base_url: str) -> dict:
    try:
        return httpx.get(f"{base_url}/api/health", timeout=10).json()["data"]
    except (httpx.TransportError, ValueError, KeyError):
        return {"status": "", "worker": {"count": 0}}


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Installation]:
    """migrate begins before its services do; when it has ended, the others start."""
    port = free_port()
    redis_server, postgres = ComposeRedis(), ComposePostgres()
    with loopback_providers() as providers:
        spoken = {n: v for n, v in providers.settings.items() if not n.startswith("LLM")}
        whole = Installation(
            given={**SECRETS, **spoken, "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}"},
            addresses={
                "postgres:5432": f"127.0.0.1:{postgres.port}",
                "redis:6379": f"127.0.0.1:{redis_server.port}",
            },
            fixed={"PORT": str(port), "DATA_DIR": str(tmp_path_factory.mktemp("data"))},
        )
        migrate = whole.start("migrate")
        migrate.wait_for(lambda: "waiting for database" in migrate.log())
        with postgres:
            migrate.wait_for(lambda: "waiting for Redis" in migrate.log())
            with redis_server:
                assert migrate.process.wait(120) == 0, migrate.log()
                whole.migration_log = migrate.log()
                try:
                    for name in PROCESSES:
                        whole.processes[name] = whole.start(name)
                    web = whole.processes["web"]
                    url = whole.given["PUBLIC_BASE_URL"]
                    web.wait_for(lambda: health(url)["worker"]["count"] == 1)
                    yield whole
                finally:
                    for process in whole.processes.values():
                        process.kill()


def test_migrate_tells_what_it_does_and_no_secret(installation):
    log = installation.migration_log
    assert "==> database" in log
    assert "==> preset characters" in log
    assert not any(secret in log for secret in SECRETS.values())


def test_everything_is_well(installation):
    data = health(installation.given["PUBLIC_BASE_URL"])
    assert data["status"] == "ok"
    assert data["mode"] == "scaled"
    assert data["worker"] == {"ok": True, "count": 1}
    assert data["database"]["ok"]
    assert data["broker"]["ok"]


@pytest.mark.parametrize("role", ["web", "worker", "background"])
def test_health_checks_pass(installation, role):
    asked = healthcheck(role, installation.environment(role))
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_a_turn_by_text_and_a_spoken_reply_on_the_shared_volume(installation):
    client = Client.register(installation.given["PUBLIC_BASE_URL"])
    role = client.role("诸葛亮")
    with client.socket() as socket:
        written = socket.ask(text(role))
        spoken = socket.ask(text(role, response_type=1), timeout=60)
    assert written["type"] == "text"
    assert written["message"]
    assert spoken["type"] == "voice"
    # The worker wrote the file, the web process serves it.
    assert httpx.get(spoken["message"], headers=client.headers).content


def test_behind_a_proxy_with_tls(installation):
    """Two web processes in one container, called by the public name."""
    port = free_port()
    values = {
        **installation.environment("web"),
        "PORT": str(port),
        "PUBLIC_BASE_URL": "https://liyuan.example",
        "WEB_CONCURRENCY": "2",
        "PROXIES": "1",
    }
    url = f"http://127.0.0.1:{port}"
    proxied = {"Host": "liyuan.example", "X-Forwarded-For": "192.0.2.7"}
    with start_role("web", values) as web:
        web.wait_for(lambda: healthcheck("web", values).returncode == 0)
        assert httpx.get(f"{url}/api/health").status_code == 400
        plainly = httpx.get(f"{url}/", headers=proxied)
        assert plainly.status_code == 301
        assert plainly.headers["Location"] == "https://liyuan.example/"
        secure = httpx.get(f"{url}/", headers={**proxied, "X-Forwarded-Proto": "https"})
        assert secure.status_code == 200
        assert "max-age=31536000" in secure.headers["Strict-Transport-Security"]
        assert web.stop(seconds(COMPOSE["services"]["web"]["stop_grace_period"])) == 0


def test_deployment_check_is_clean(installation):
    values = {**installation.environment("web"), "PUBLIC_BASE_URL": "https://liyuan.example"}
    manage("check", "--deploy", "--fail-level", "WARNING", env=plain(values))


def test_beat_reaches_the_background_worker(installation):
    """Within 30 s beat asks for a look after lost turns."""
    # Else the tasks of the tests that follow in this process would be this one's.
    asking = Celery(broker=installation.environment("beat")["REDIS_URL"], set_as_current=False)
    asking.conf.broker_transport_options = {"global_keyprefix": "liyuan:"}

    def swept() -> bool:
        counts = (asking.control.inspect(timeout=2).stats() or {}).items()
        done = [worker["total"] for name, worker in counts if name.startswith("background-")]
        return any(total.get("chat.tasks.sweep_turns") for total in done)

    background = installation.processes["background"]
    background.wait_for(swept)
    assert '"level": "error"' not in background.log()


@pytest.mark.parametrize("role", PROCESSES)
def test_sigterm_ends_each_cleanly_and_in_time(installation, role):
    """The last of these: what runs is stopped, as `docker compose stop` does."""
    process = installation.processes[role]
    process.check()
    grace = seconds(COMPOSE["services"][role]["stop_grace_period"])
    assert process.stop(grace) == 0, process.log()
    assert "Traceback" not in process.log()
    if role == "worker":
        asked = healthcheck(role, installation.environment(role))
        assert asked.returncode == 1
        assert f"no answer from turns-*@{platform.node()}" in asked.stdout


# --- one container alone


def test_without_redis_one_container_is_the_whole_platform(tmp_path):
    """With the files of the image alone."""
    port, app = free_port(), tmp_path / "app"
    lay_out(app)
    values = {
        **service_environment("web", SECRETS, {}),
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "PORT": str(port),
        "DATA_DIR": str(tmp_path / "data"),
    }
    with start_role("web", values, app) as web:
        web.wait_for(lambda: healthcheck("web", values).returncode == 0)
        client = Client.register(values["PUBLIC_BASE_URL"])
        with client.socket() as socket:
            assert socket.ask(text(client.role("诸葛亮")))["message"]
        assert web.stop(seconds(COMPOSE["services"]["web"]["stop_grace_period"])) == 0
    assert healthcheck("web", values).returncode == 1


# --- what is wrong is said


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    """A service whose database and Redis are nowhere."""
    return {**service_environment("web", SECRETS, NOWHERE), "DATA_DIR": str(tmp_path)}


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "message"),
    [
        (["nginx"], {}, 64, "unknown role 'nginx'; known are web, worker"),
        (["web", "--reload"], {}, 64, "one role, and nothing after it (got: web --reload)"),
        (["web"], {"SECRET_KEY": ""}, 64, "SECRET_KEY is not set"),
        (["web"], {"SECRET_KEY": "short"}, 1, "SECRET_KEY must have at least 32 characters"),
        (["web"], {"DATABASE_URL": ""}, 64, "REDIS_URL is set but DATABASE_URL is not"),
        (["worker"], {"REDIS_URL": "", "DATABASE_URL": ""}, 1, "REDIS_URL is not set"),
        (["migrate"], {"WAIT_SECONDS": "soon"}, 2, "invalid float value: 'soon'"),
        (["migrate"], {"LLM_MAX_TOKENS": "many"}, 1, "LLM_MAX_TOKENS must be a number"),
    ],
)
def test_a_wrong_start_ends_with_its_reason(values, arguments, changes, code, message):
    ended = entrypoint(*arguments, {**values, **changes})
    assert ended.returncode == code
    assert message in ended.stderr


@pytest.mark.parametrize("role", ["migrate", "web", "worker", "background", "beat"])
def test_an_unreachable_database_ends_the_wait_in_time(values, role):
    began = time.monotonic()
    ended = entrypoint(role, {**values, "WAIT_SECONDS": "1"})
    assert time.monotonic() - began < 40
    assert ended.returncode == 1
    assert "database 127.0.0.1:1/liyuan cannot be reached" in ended.stderr
    assert "(waited 1 s)" in ended.stderr
    assert SECRETS["POSTGRES_PASSWORD"] not in ended.stdout + ended.stderr


def test_an_unreachable_redis_ends_the_wait_in_time(values, tmp_path):
    sqlite = f"sqlite:///{tmp_path}/there.sqlite3"
    address = "redis://:geheim@127.0.0.1:1/0"
    ended = entrypoint(
        "worker", {**values, "DATABASE_URL": sqlite, "REDIS_URL": address, "WAIT_SECONDS": "1"}
    )
    assert ended.returncode == 1
    assert "Redis 127.0.0.1:1/0 cannot be reached" in ended.stderr
    assert "geheim" not in ended.stdout + ended.stderr


def test_a_container_that_waits_can_be_stopped(values):
    with start_role("worker", values) as waiting:
        waiting.wait_for(lambda: "waiting for database" in waiting.log())
        assert waiting.stop(5) != 0


def test_health_checks_say_what_is_the_matter(values):
    for role, message in (
        ("web", "no answer"),
        ("worker", "Redis cannot be reached"),
        ("beat", "unknown role 'beat'"),
    ):
        asked = healthcheck(role, {**values, "PORT": str(free_port())})
        assert asked.returncode != 0
        assert message in asked.stdout + asked.stderr
