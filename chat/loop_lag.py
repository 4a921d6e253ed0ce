"""How late an event loop is: what keeps it busy delays every turn and every socket in it."""

import asyncio
import time
from weakref import WeakSet

from prometheus_client import Histogram

INTERVAL = 0.5  # seconds

_lag = Histogram(
    "liyuan_event_loop_lag_seconds",
    "How much later than asked for a timer of the event loop ran, looked at twice a second",
    ["loop"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def watch(name: str) -> None:
    """Measure the running loop from now on, for as long as it runs; once is enough.

    Args:
        name: ``web`` (requests and sockets) or ``turns``.
    """
    loop = asyncio.get_running_loop()
    if loop in _watched:
        return
    _watched.add(loop)
    observe = _lag.labels(name).observe

    # Not loop.time(): uvloop takes it once an iteration, in whole milliseconds.
    def look(due: float) -> None:
        now = time.monotonic()
        observe(max(0.0, now - due))
        loop.call_later(INTERVAL, look, now + INTERVAL)

    loop.call_later(INTERVAL, look, time.monotonic() + INTERVAL)
