"""The bus of the embedded mode: one process, any number of event loops."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from chat.bus.base import CLAIM_SECONDS, REPLAY_SECONDS, Frame, Key


@dataclass(slots=True)
class _Log:
    """What was published of one turn, and who follows it."""

    frames: list[Frame] = field(default_factory=list)
    followers: list["MemorySubscription"] = field(default_factory=list)
    touched: float = 0.0


class MemorySubscription:
    """Frames queued in the event loop that subscribed."""

    def __init__(self, bus: "MemoryBus", key: Key) -> None:
        self._bus = bus
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue()

    def offer(self, frames: Sequence[Frame]) -> None:
        """Called by the bus, from any thread, in order."""
        try:
            self._loop.call_soon_threadsafe(self._put, frames)
        except RuntimeError:
            # The follower's loop has ended; so has its interest.
            return

    def _put(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._queue.put_nowait(frame)

    async def get(self, timeout: float) -> Frame | None:
        try:
            async with asyncio.timeout(timeout):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while (frame := await self._queue.get()) is not None:
            yield frame
            if frame.kind == "ended":
                return

    async def aclose(self) -> None:
        self._bus.forget(self._key, self)
        self._queue.put_nowait(None)


class MemoryBus:
    """See ``TurnBus``."""

    def __init__(self) -> None:
        self._logs: OrderedDict[Key, _Log] = OrderedDict()
        self._claims: OrderedDict[Key, float] = OrderedDict()
        self._workers: dict[str, tuple[asyncio.AbstractEventLoop, Callable[[int], None]]] = {}
        self._lock = Lock()

    async def subscribe(self, key: Key) -> MemorySubscription:
        subscription = MemorySubscription(self, key)
        with self._lock:
            log = self._logs.setdefault(key, _Log(touched=time.monotonic()))
            log.followers.append(subscription)
            # Offered under the lock, so that a frame published now comes after these.
            subscription.offer(list(log.frames))
        return subscription

    def forget(self, key: Key, subscription: MemorySubscription) -> None:
        """End a subscription."""
        with self._lock:
            log = self._logs.get(key)
            if log and subscription in log.followers:
                log.followers.remove(subscription)

    async def publish(self, key: Key, frames: Sequence[Frame]) -> None:
        with self._lock:
            log = self._logs.setdefault(key, _Log())
            log.frames.extend(frames)
            log.touched = time.monotonic()
            self._logs.move_to_end(key)
            for follower in log.followers:
                follower.offer(frames)
            self._drop_old()

    def _drop_old(self) -> None:
        limit = time.monotonic() - REPLAY_SECONDS
        while self._logs:
            key, log = next(iter(self._logs.items()))
            if log.touched > limit or log.followers:
                return
            del self._logs[key]

    async def discard(self, *keys: Key) -> None:
        with self._lock:
            for key in keys:
                log = self._logs.get(key)
                if log is not None and not log.followers:
                    del self._logs[key]

    async def claim(self, key: Key, worker: str) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._claims and next(iter(self._claims.values())) < now - CLAIM_SECONDS:
                self._claims.popitem(last=False)
            first = key not in self._claims
            self._claims.setdefault(key, now)
        return first

    async def cancel(self, turn_id: int) -> None:
        with self._lock:
            workers = list(self._workers.values())
        for loop, on_cancel in workers:
            loop.call_soon_threadsafe(on_cancel, turn_id)

    async def serve(self, worker: str, on_cancel: Callable[[int], None]) -> None:
        with self._lock:
            self._workers[worker] = (asyncio.get_running_loop(), on_cancel)
        try:
            await asyncio.Event().wait()
        finally:
            with self._lock:
                del self._workers[worker]

    async def workers(self) -> list[str]:
        with self._lock:
            return list(self._workers)

    async def is_alive(self, worker: str) -> bool:
        with self._lock:
            return worker in self._workers

    async def aclose(self) -> None:
        with self._lock:
            followers = [follower for log in self._logs.values() for follower in log.followers]
            self._logs.clear()
        for follower in followers:
            await follower.aclose()
