"""What a process holds for its turns: the bus, and the loop that workers run in."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import structlog
import uvloop
from django.conf import settings

from accounts import database
from chat import loop_lag, providers
from chat.bus.base import TurnBus
from chat.bus.memory import MemoryBus
from chat.bus.redis import RedisBus
from chat.worker import Worker

logger = structlog.get_logger(__name__)

T = TypeVar("T")

_memory_bus = MemoryBus()
_buses: WeakKeyDictionary[asyncio.AbstractEventLoop, TurnBus] = WeakKeyDictionary()
_workers: WeakKeyDictionary[asyncio.AbstractEventLoop, Worker] = WeakKeyDictionary()
_warming: set[asyncio.Task[None]] = set()
_lock = threading.Lock()


def bus() -> TurnBus:
    """The bus of the running event loop."""
    if settings.EMBEDDED:
        return _memory_bus
    loop = asyncio.get_running_loop()
    with _lock:
        if loop not in _buses:
            _buses[loop] = RedisBus(settings.REDIS_URL)
        return _buses[loop]


def worker() -> Worker:
    """The worker of the running event loop; begins to serve when first asked for."""
    loop = asyncio.get_running_loop()
    turn_bus = bus()
    with _lock:
        if loop not in _workers:
            _workers[loop] = Worker(turn_bus)
        return _workers[loop]


async def drain(seconds: float) -> None:
    """Let the turns of this process end, in whichever loop they run."""
    with _lock:
        workers = list(_workers.items())
    for loop, each in workers:
        draining = asyncio.run_coroutine_threadsafe(each.drain(seconds), loop)
        await asyncio.wrap_future(draining)


class SharedLoop:
    """One event loop in a thread of its own, for all tasks of a worker process."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="turns", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@cache
def shared_loop() -> SharedLoop:
    """The shared loop of this process; made when first asked for, so after a fork."""
    return SharedLoop()


async def serve() -> None:
    """Begin to serve turns in the running loop; local models load meanwhile."""
    worker()
    loop_lag.watch("turns")
    in_background(_warm())


async def _warm() -> None:
    await database.warm()
    await providers.warm()


def in_background(warming: Coroutine[Any, Any, None]) -> None:
    """Let something become quick while the process already works; a failure is logged."""
    task = asyncio.create_task(warming)
    _warming.add(task)
    task.add_done_callback(_warmed)


def _warmed(task: asyncio.Task[None]) -> None:
    _warming.discard(task)
    if not task.cancelled() and (error := task.exception()):
        logger.warning("not warm: the first turns will take longer", why=str(error))


async def run_turn(turn_id: int) -> None:
    """Run a turn in the running loop's worker."""
    await worker().run(turn_id)


async def run_live_turn(key: str, *, user_id: int, key_id: int | None) -> None:
    """Serve a live turn in the running loop's worker."""
    await worker().run_live(key, user_id=user_id, key_id=key_id)
