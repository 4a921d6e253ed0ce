"""The process's beginning and end, as the server announces them."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import structlog
from django.conf import settings

from chat import embedded, live, providers, runtime, turns
from realtime import connections
from voice.ear.detector import running_detector

logger = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# How long turns that are under way may take to end when the process is asked to stop.
DRAIN_SECONDS = 20.0
# How long clients of /v1/realtime may take to hear that the server is going away.
_GOODBYE_SECONDS = 2.0


class Lifespan:
    """Starts the embedded worker, and lets turns end before the process does.

    A server without a lifespan (daphne) starts the embedded worker with the first turn.
    """

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                _say_goodbye_first()
                await _start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await live.aclose_all()
                await runtime.drain(DRAIN_SECONDS)
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _start() -> None:
    runtime.in_background(_warm())
    if not settings.EMBEDDED:
        runtime.in_background(turns.warm())
        return
    embedded.ensure_started()
    ended = await turns.sweep(all_lost=True)
    if ended:
        logger.warning("turns of the process before were cut off", turns=ended)


async def _warm() -> None:
    """What the first request and the first call would else wait for."""
    await providers.warm_connections()
    if settings.REALTIME_ENABLED:
        await running_detector().warm()
        if settings.REALTIME_RUNNER == "inline":
            await providers.warm()


def _say_goodbye_first() -> None:
    """Have the sessions closed with 1001 before the server hears that it is to end.

    uvicorn would close them itself, with 1012, before it tells the application.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, _deferred(handler, loop))


def _deferred(
    handler: Callable[[int, FrameType | None], Any], loop: asyncio.AbstractEventLoop
) -> Callable[[int, FrameType | None], None]:
    async def go(number: int) -> None:
        await connections.close_all(_GOODBYE_SECONDS)
        handler(number, None)

    def handle(number: int, frame: FrameType | None) -> None:
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(go(number), loop)
        else:
            handler(number, frame)

    return handle
