"""The figures of all processes of an installation, over Redis.

Workers listen on no port, and the processes of one web service share theirs. So each process
puts its figures into Redis every few seconds, and whichever is asked gives those of all.
"""

import atexit
import logging
import os
import platform
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from prometheus_client import REGISTRY, Metric, generate_latest
from prometheus_client.registry import Collector
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
        text: In Prometheus' text format; each sample has both of these as labels.
    """

    kind: str
    process: str
    text: str


class _Labelled(Collector):
    """What this process has counted, told apart from what the others have."""

    def __init__(self, kind: Kind) -> None:
        self._labels = {"kind": kind, "process": process_name()}

    def collect(self) -> Iterator[Metric]:
        for family in REGISTRY.collect():
            labelled = Metric(family.name, family.documentation, family.type)
            labelled.samples = [
                Sample(name, self._labels | labels, value)
                for name, labels, value, *_ in family.samples
            ]
            yield labelled


def own_report(kind: Kind) -> Report:
    """What this process has counted so far."""
    return Report(kind, process_name(), generate_latest(_Labelled(kind)).decode())


def process_name() -> str:
    """Host and process id: the same again for the first process of a container's next run."""
    return f"{platform.node()[:40]}-{os.getpid()}"


def merged(reports: Iterable[Report]) -> str:
    """One text of all: the format wants the samples of a family in one place."""
    heads: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for report in reports:
        for part in f"\n{report.text}".rstrip().split("\n# HELP ")[1:]:
            help_, type_, *lines = part.split("\n", 2)
            name = help_.partition(" ")[0]
            heads.setdefault(name, f"# HELP {help_}\n{type_}")
            samples.setdefault(name, []).extend(lines)
    families = ("\n".join([head, *samples[name]]) for name, head in heads.items())
    return "\n".join([*families, ""])


class Exchange:
    """Where the processes leave their reports. May be used from any thread.

    Args:
        url: Of Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=2)

    def put(self, report: Report) -> None:
        """Leave a report for the others; it counts for LOST_SECONDS. Raises RedisError."""
        key = f"{_PREFIX}{report.kind}:{report.process}"
        # Much of it is the same again and again: a twentieth is left, for half a millisecond.
        self._redis.set(key, zlib.compress(report.text.encode(), 1), ex=LOST_SECONDS)

    def reports(self) -> list[Report]:
        """What the processes left lately. Raises RedisError."""
        keys: list[bytes] = sorted(self._redis.scan_iter(match=f"{_PREFIX}*", count=1000))
        packed = cast(list[bytes | None], self._redis.mget(keys) if keys else [])
        found = []
        for key, each in zip(keys, packed, strict=True):
            if each is not None:  # it has not run out meanwhile
                kind, _colon, process = key.decode().removeprefix(_PREFIX).partition(":")
                found.append(Report(kind, process, zlib.decompress(each).decode()))
        return found


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
