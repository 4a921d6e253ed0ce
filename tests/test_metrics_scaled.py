"""``/metrics`` of several processes: one address, the figures of all."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.audio_samples import sample
from tests.metrics import Figures, figures_when, scrape
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ManagedProcess, ServerProcess, start, start_server
from tests.services import PostgresServer, RedisServer
from tests.test_ws_contract import REPLY, call, text

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@dataclass
class Installation:
    redis: RedisServer
    providers: ProviderProcess
    server: ServerProcess
    others: dict[str, ManagedProcess]

    @property
    def url(self) -> str:
        return self.server.base_url


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with (
        RedisServer() as redis_server,
        PostgresServer() as postgres,
        loopback_providers() as providers,
    ):
        values = {
            **providers.settings,
            "REDIS_URL": redis_server.url,
            "DATABASE_URL": postgres.url,
            "WEB_CONCURRENCY": "2",
            "TURN_CONCURRENCY": "8",
            "LLM_MAX_TOKENS": "64",
            "LLM_CONTEXT_TOKENS": "1200",
        }
        with start_server(values) as server:
            kinds = ("worker", "background", "beat")
            others = {
                kind: start(kind, [sys.executable, "manage.py", "serve", kind], server.environment)
                for kind in kinds
            }
            yield Installation(redis_server, providers, server, others)
            for process in others.values():
                process.stop()


def kinds(figures: Figures) -> dict[str, float]:
    return figures.by("liyuan_process_info", "kind", mode="scaled")


def test_all_processes_are_there_and_add_up_with_what_the_provider_saw(installation):
    ready = figures_when(
        installation.url,
        lambda now: kinds(now) == {"web": 2, "worker": 1, "background": 1, "beat": 1},
        seconds=60,
    )
    assert ready.total("liyuan_metrics_complete") == 1
    installation.providers.script("chat", text=REPLY)
    client = Client.register(installation.url)
    role = client.role("诸葛亮")
    url = client.upload(sample("mp3"))
    # Several connections, so that both web processes have some.
    for _ in range(6):
        with client.socket() as socket:
            assert socket.ask(text(role))["message"] == REPLY
    with client.socket() as socket:
        installation.providers.script("chat", text=REPLY * 20, pace={"tokens_per_second": 30})
        socket.send(text(role, id="long", stream=True))
        assert socket.receive()["type"] == "delta"
        socket.send({"type": "cancel", "id": "long"})
        assert socket.until_final()[-1]["status"] == "cancelled"
        installation.providers.script("chat", text=REPLY)
    with client.socket("/api/ws/voice_chat") as socket:
        socket.send(call(role, url))
        socket.until_final()
    now = figures_when(
        installation.url,
        lambda now: (
            now.total("liyuan_turns_total") == 8
            and now.total("liyuan_socket_handshakes_total", status="101") == 8
            and now.total("liyuan_sockets_open") == 0
        ),
    )
    counts = installation.providers.log()["counts"]
    for capability, endpoint in (("llm", "chat"), ("asr", "transcriptions"), ("tts", "speech")):
        asked = now.total("liyuan_provider_requests_total", kind="worker", capability=capability)
        assert asked == counts[endpoint]["started"]
    assert now.by("liyuan_turns_total", "outcome") == {"completed": 7, "cancelled": 1}
    assert now.by("liyuan_turns_total", "kind") == {"worker": 8}
    assert now.by("liyuan_turn_queue_seconds_count", "kind") == {"worker": 8}
    assert now.by("liyuan_event_loop_lag_seconds_count", "kind", loop="web").keys() == {"web"}
    assert now.by("liyuan_event_loop_lag_seconds_count", "kind", loop="turns").keys() == {"worker"}
    assert now.by("liyuan_socket_handshakes_total", "kind") == {"web": 8}


def test_whichever_web_process_is_asked_the_answer_is_the_same(installation):
    for _ in range(20):  # a connection each: they fall to one process or the other
        now = scrape(installation.url)
        assert kinds(now)["web"] == 2
        assert now.total("liyuan_turns_total") == 8


def test_a_summary_is_counted_and_its_user_s(installation):
    client = Client.register(installation.url)
    role = client.role("诸葛亮")
    before = scrape(installation.url)
    with client.socket() as socket:
        for number in range(12):
            socket.ask(text(role, f"第{number}句：" + "山高水长，" * 12))

    def settled(now: Figures) -> bool:
        """The background wrote a summary, and the ledger has that and all turns."""
        written = now.total("liyuan_provider_requests_total", kind="background", outcome="ok")
        spent = client.get("/api/usage")["amounts"]
        added = {
            unit: now.total("liyuan_provider_units_total", unit=unit)
            - before.total("liyuan_provider_units_total", unit=unit)
            for unit in ("prompt_tokens", "completion_tokens")
        }
        return written > 0 and spent == added

    figures_when(installation.url, settled, seconds=30)


def test_a_worker_that_ends_leaves_its_last_figures(installation):
    client = Client.register(installation.url)
    role = client.role("诸葛亮")
    before = scrape(installation.url).total("liyuan_turns_total", kind="worker")
    with client.socket() as socket:
        socket.ask(text(role))
    installation.others["worker"].stop()
    now = scrape(installation.url)
    assert now.total("liyuan_turns_total", kind="worker") == before + 1
    assert now.total("liyuan_turns_running") == 0
    # Twenty seconds later it is gone, and with it what it had counted.
    gone = figures_when(installation.url, lambda now: "worker" not in kinds(now), seconds=40)
    assert kinds(gone)["web"] == 2
    assert gone.total("liyuan_turns_total") == 0


def test_without_redis_the_process_that_is_asked_still_answers(installation):
    installation.redis.stop()
    now = scrape(installation.url)
    assert now.total("liyuan_metrics_complete") == 0
    assert kinds(now) == {"web": 1}
    installation.redis.start()
    figures_when(
        installation.url,
        lambda now: now.total("liyuan_metrics_complete") == 1 and kinds(now).get("web") == 2,
    )
