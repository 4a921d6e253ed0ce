"""The same turns where a worker carries them: Redis and PostgreSQL between it and the socket."""

import sys
from collections.abc import Iterator

import pytest

from tests.platform import ProviderProcess
from tests.processes import ServerProcess, start, start_server
from tests.realtime_clients.tap import Tap, tap
from tests.realtime_clients.test_openai_python import (  # noqa: F401
    dialect,
    talk,
    test_a_failing_model_ends_its_response_and_nothing_else,
    test_a_function_is_called,
    test_a_response_beside_the_conversation,
    test_a_response_is_cancelled_once,
    test_a_spoken_turn,
    test_a_turn_in_text_is_answered_aloud,
    test_the_user_interrupts,
    test_turns_by_hand,
)
from tests.services import PostgresServer, RedisServer
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with RedisServer() as redis, PostgresServer() as postgres:
        settings = {
            **providers.settings,
            "REDIS_URL": redis.url,
            "DATABASE_URL": postgres.url,
            "REALTIME_RUNNER": "celery",
            "SPEECH_CACHE_MB": "0",
        }
        with start_server(settings) as running:
            command = [sys.executable, "manage.py", "serve", "worker"]
            with start("worker", command, running.environment) as worker:
                worker.wait_for(lambda: " ready" in worker.log())
                yield running


@pytest.fixture(scope="module")
def relay(server: ServerProcess) -> Iterator[Tap]:
    with tap(server.base_url) as running:
        yield running


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Caller:
    return Caller.register(server.base_url)


@pytest.fixture(scope="module")
def zhuge(caller: Caller) -> str:
    return f"role:{caller.account.role('诸葛亮')}"
