"""This process among those of the installation: what it is, and its figures told to the others."""

import platform
import threading
from typing import Any

from celery.signals import beat_init, worker_process_init, worker_process_shutdown, worker_ready
from django.conf import settings
from prometheus_client import Gauge, disable_created_metrics

from config.metrics.exchange import Exchange, Kind, Report, Reporter, own_report, process_name

# Each counter and histogram would bring the time of its making as one more figure.
disable_created_metrics()  # type: ignore[no-untyped-call]

_info = Gauge(
    "liyuan_process_info", "What this process is; always 1", ["version", "mode", "python"]
)
_lock = threading.Lock()
_kind: Kind | None = None
_exchange: Exchange | None = None
_reporter: Reporter | None = None


def start(kind: Kind) -> None:
    """Tell what this process is, and in scaled mode its figures to the others; once."""
    global _kind, _exchange, _reporter
    with _lock:
        if _kind is not None:
            return
        _kind = kind
    mode = "embedded" if settings.EMBEDDED else "scaled"
    _info.labels(settings.VERSION, mode, platform.python_version()).set(1)
    if not settings.EMBEDDED:
        _exchange = Exchange(settings.REDIS_URL)
        _reporter = Reporter(_exchange, kind)
        _reporter.start()


def own() -> Report:
    """Our own figures, as of now."""
    return own_report(_kind or "web")


def others() -> list[Report]:
    """Those that the other processes left lately. Raises RedisError."""
    if _exchange is None:
        return []
    return [report for report in _exchange.reports() if report.process != process_name()]


@worker_ready.connect
def _worker(sender: Any, **kwargs: Any) -> None:
    """The worker for turns. Of the prefork pool the children do the work."""
    if any(queue.name == "turns" for queue in sender.task_consumer.queues):
        start("worker")


@worker_process_init.connect
def _background(**kwargs: Any) -> None:
    start("background")


@worker_process_shutdown.connect
def _background_ends(**kwargs: Any) -> None:
    if _reporter is not None:
        _reporter.stop()


@beat_init.connect
def _beat(sender: Any, **kwargs: Any) -> None:
    start("beat")
