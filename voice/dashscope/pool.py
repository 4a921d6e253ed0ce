"""Connections to the task service that are kept for the next task.

A new connection costs name, TCP, TLS and a handshake, some 100 ms over the internet; the
service keeps one open for about 60 s after a task and takes another task on it.
"""

import asyncio
import logging
import time
import weakref
from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from voice.dashscope.config import DashScopeConfig
from voice.dashscope.connection import Connection, opened
from voice.dashscope.errors import DashScopeError
from voice.http_transport import certificates

IDLE_SECONDS = 40.0  # the service drops one after about 60

log = logging.getLogger(__name__)

Use = Literal["tts", "asr"]


@dataclass(frozen=True, slots=True)
class PoolState:
    """Connections of this process for one use. The first two are now, the others ever.

    Attributes:
        idle: Open and free.
        busy: Taken by a task, or being opened for one.
        opened: Handshakes that were answered well.
        refused: Handshakes that failed.
        reused: Tasks that took a kept connection.
        failed: Connections closed after a task that failed or was cut off.
        expired: Kept connections that nobody wanted in time, or that the service closed.
        stale: Kept connections that turned out dead when a task began on them.
    """

    idle: int = 0
    busy: int = 0
    opened: int = 0
    refused: int = 0
    reused: int = 0
    failed: int = 0
    expired: int = 0
    stale: int = 0


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()
_counts: dict[Use, Counter[str]] = {"tts": Counter(), "asr": Counter()}
_lock = Lock()


def pool_state() -> dict[Use, PoolState]:
    """The connections of all event loops of this process, for metrics; from any thread."""
    with _lock:
        pools = list(_pools)
        ever = {use: dict(counts) for use, counts in _counts.items()}
    return {
        use: PoolState(
            idle=sum(pool.idle for pool in pools if pool.use == use),
            busy=sum(pool.busy for pool in pools if pool.use == use),
            **counts,
        )
        for use, counts in ever.items()
    }


class Pool:
    """Belongs to the event loop in which it is first used.

    Args:
        config: Where to connect.
        use: What for, for the counts.
        idle_seconds: How long a connection is kept without a task.
    """

    def __init__(
        self, config: DashScopeConfig, use: Use, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.use: Use = use
        self._config = config
        self._idle_seconds = idle_seconds
        self._places = asyncio.Semaphore(config.max_connections)
        self._kept: list[Connection] = []  # the one used last at the end
        self._busy = 0
        self._coming: asyncio.Task[None] | None = None  # a connection that nobody has yet
        self._closing: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._certificates_read = False
        self._closed = False
        with _lock:
            _pools.add(self)

    @property
    def idle(self) -> int:
        """Connections kept."""
        return len(self._kept)

    @property
    def busy(self) -> int:
        """Connections with somebody."""
        return self._busy

    async def borrow(self, *, fresh: bool = False) -> Connection:
        """A connection for one task; every one must come back by one of the two ways below.

        Args:
            fresh: Connect anew, whatever is kept.

        Raises:
            DashScopeError: It cannot be had; with all places taken, ``rate`` after as long as
                a connection may take.
            RuntimeError: The pool is closed.
        """
        if self._closed:
            raise RuntimeError("the connections to dashscope are closed")
        try:
            async with asyncio.timeout(self._config.patience.connect):
                await self._places.acquire()
        except TimeoutError as error:
            message = f"has all {self._config.max_connections} connections in use"
            raise DashScopeError(message, kind="rate") from error
        self._busy += 1
        try:
            if not fresh and (kept := await self._kept_one()):
                self._count("reused")
                return kept
            return await self._opened()
        except BaseException:
            self._leave()
            raise

    def keep(self, connection: Connection) -> None:
        """Take a connection back whose task has finished."""
        self._leave()
        if self._closed or not connection.is_open:
            self._close(connection)
            return
        connection.kept, connection.idle_since = True, time.monotonic()
        self._kept.append(connection)
        self._sweep_later()

    def drop(self, connection: Connection, last_words: str = "", *, stale: bool = False) -> None:
        """Close a connection whose task has not finished. Returns at once.

        Args:
            connection: What was borrowed.
            last_words: A message to send before.
            stale: It was dead before the task began.
        """
        self._leave()
        self._count("stale" if stale else "failed")
        self._close(connection, last_words)

    async def warm(self) -> None:
        """Have one connection ready. Raises DashScopeError where there is none to be had."""
        if not self._certificates_read:
            await asyncio.to_thread(certificates)
            self._certificates_read = True
        if kept := self._newest():
            self._kept.append(kept)
            return
        if self._coming is None:
            self._coming = asyncio.create_task(self.probe())
            self._coming.add_done_callback(self._came)
        await asyncio.shield(self._coming)

    async def probe(self) -> None:
        """Connect anew, which costs nothing and needs the key, and keep the connection.

        Raises:
            DashScopeError: It cannot be had.
        """
        self.keep(await self.borrow(fresh=True))

    async def aclose(self) -> None:
        """Close what is kept; what is borrowed is closed when it comes back."""
        self._closed = True
        if self._sweep:
            self._sweep.cancel()
        if self._coming:
            self._coming.cancel()
        for connection in self._kept:
            self._close(connection)
        self._kept.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _opened(self) -> Connection:
        try:
            connection = await opened(self._config)
        except DashScopeError as error:
            self._count("refused")
            log.log(error.level, "%s: no connection: %s", self.use, error)
            raise
        self._count("opened")
        return connection

    async def _kept_one(self) -> Connection | None:
        """A connection that is kept, or that is just being made for whoever comes first."""
        if (kept := self._newest()) or self._coming is None:
            return kept
        coming, self._coming = self._coming, None
        await asyncio.shield(coming)
        return self._newest()

    def _came(self, made: asyncio.Task[None]) -> None:
        if self._coming is made:
            self._coming = None
        if not made.cancelled():
            made.exception()  # told to those who wait for it; nobody may be left

    def _newest(self) -> Connection | None:
        """The one used last, if it is still good: it is the least likely to be dead."""
        while self._kept:
            connection = self._kept.pop()
            young = time.monotonic() - connection.idle_since < self._idle_seconds
            if young and connection.is_open:
                return connection
            self._count("expired")
            self._close(connection)
        return None

    def _leave(self) -> None:
        self._busy -= 1
        self._places.release()

    def _close(self, connection: Connection, last_words: str = "") -> None:
        task = asyncio.get_running_loop().create_task(connection.close(last_words))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _sweep_later(self) -> None:
        if self._sweep is None and self._kept and not self._closed:
            due = self._kept[0].idle_since + self._idle_seconds - time.monotonic()
            self._sweep = asyncio.get_running_loop().call_later(max(due, 0.0), self._sweep_now)

    def _sweep_now(self) -> None:
        """Close what was kept for too long, or was closed from the other side."""
        self._sweep = None
        limit = time.monotonic() - self._idle_seconds
        good = [each for each in self._kept if each.is_open and each.idle_since > limit]
        for connection in self._kept:
            if connection not in good:
                self._count("expired")
                self._close(connection)
        self._kept = good
        self._sweep_later()

    def _count(self, name: str) -> None:
        with _lock:
            _counts[self.use][name] += 1
