"""The process's beginning and end, as the server announces them."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.conf import settings

from chat import embedded, providers, runtime, turns

logger = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# How long turns that are under way may take to end when the process is asked to stop.
DRAIN_SECONDS = 20.0


class Lifespan:
    """Starts the embedded worker, and lets turns end before the process does.

    A server without a lifespan (daphne) starts the embedded worker with the first turn.
    """

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await _start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await runtime.drain(DRAIN_SECONDS)
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _start() -> None:
    runtime.in_background(providers.warm_connections())
    if not settings.EMBEDDED:
        runtime.in_background(turns.warm())
        return
    embedded.ensure_started()
    ended = await turns.sweep(all_lost=True)
    if ended:
        logger.warning("turns of the process before were cut off", turns=ended)
