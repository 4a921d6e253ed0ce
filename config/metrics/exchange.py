"""The figures of all processes of an installation, over Redis.

Workers listen on no port, and the processes of one web service share theirs. So each process
puts its figures into Redis every few seconds, and whichever is asked gives those of all.
"""

import atexit
import logging
import os
import platform
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
from prometheus_client import REGISTRY, Metric
from prometheus_client.samples import Sample
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Kind = Literal["web", "worker", "background", "beat"]

PUSH_SECONDS = 5.0
# Who is silent for so long has ended, and its figures with it.
LOST_SECONDS = 20
_PREFIX = "liyuan:metrics:"


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one process.

    Attributes:
        kind: What the process does.
        process: Its name, unique in the installation while it runs.
        families: (name, help, type, samples), a sample being (name, labels, value).
    """

    kind: str
    process: str
    families: list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]


def own_report(kind: Kind) -> Report:
    """What this process has counted so far."""
    families = [
        (
            family.name,
            family.documentation,
            family.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in family.samples],
        )
        for family in REGISTRY.collect()
    ]
    return Report(kind, process_name(), families)


def process_name() -> str:
    """Host and process id: the same again for the first process of a container's next run."""
    return f"{platform.node()[:40]}-{os.getpid()}"


def merged(reports: Iterable[Report]) -> Iterator[Metric]:
    """One family a name, each sample told apart by the labels ``kind`` and ``process``."""
    families: dict[str, Metric] = {}
    for report in reports:
        for name, documentation, type_, samples in report.families:
            family = families.setdefault(name, Metric(name, documentation, type_))
            for sample, labels, value in samples:
                labels = {"kind": report.kind, "process": report.process, **labels}
                family.samples.append(Sample(sample, labels, value))
    yield from families.values()


class Exchange:
    """Where the processes leave their reports. May be used from any thread.

    Args:
        url: Of Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=2)

    def put(self, report: Report) -> None:
        """Leave a report for the others; it counts for LOST_SECONDS. Raises RedisError."""
        packed = msgpack.packb([report.kind, report.process, report.families])
        self._redis.set(f"{_PREFIX}{report.process}", packed, ex=LOST_SECONDS)

    def reports(self) -> list[Report]:
        """What the processes left lately. Raises RedisError."""
        keys = sorted(self._redis.scan_iter(match=f"{_PREFIX}*", count=1000))
        found: list[Any] = self._redis.mget(keys) if keys else []
        return [Report(*msgpack.unpackb(packed)) for packed in found if packed]


class Reporter:
    """A thread that leaves the reports of this process, the last one when it ends."""

    def __init__(self, exchange: Exchange, kind: Kind) -> None:
        self._exchange = exchange
        self._kind = kind
        self._ending = threading.Event()
        self._heard = True
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin; the end comes with that of the process, or with ``stop``."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Leave the last report. For processes that end without their exit handlers."""
        if not self._ending.is_set():
            self._ending.set()
            self._thread.join(5)

    def _run(self) -> None:
        while True:
            self._put()
            if self._ending.is_set():
                return
            self._ending.wait(PUSH_SECONDS)

    def _put(self) -> None:
        try:
            self._exchange.put(own_report(self._kind))
        except RedisError as error:
            if self._heard:
                logger.warning("metrics of this process are not told to the others: %s", error)
            self._heard = False
        else:
            self._heard = True
