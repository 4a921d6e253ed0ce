"""How much this process asks of one provider, so that its own limits are not run into."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Lock

_LOOK_SECONDS = 0.02  # how often one that waits looks again


class LimitReached(Exception):
    """No place became free in time."""


class Limit:
    """At most so many requests at once, and so many begun a second.

    One limit serves all event loops of a process. Whoever waits looks again and again, which
    costs something only while the limit is reached; the order of arrival is not kept.

    Args:
        at_once: Requests under way; 0 is no limit.
        per_second: Requests begun; 0 is no limit. After a pause, as many as one second
            allows (at least one) may begin together.
    """

    def __init__(self, *, at_once: int = 0, per_second: float = 0.0) -> None:
        self._at_once = at_once
        self._per_second = per_second
        self._burst = max(1.0, per_second)
        self._lock = Lock()
        self._running = 0
        self._tokens = self._burst
        self._counted_at = time.monotonic()

    @asynccontextmanager
    async def place(self, patience: float) -> AsyncIterator[None]:
        """A place among those allowed, for as long as the block runs.

        Args:
            patience: Seconds to wait for one.

        Raises:
            LimitReached: None became free.
        """
        until = time.monotonic() + patience
        while not self._enter():
            if time.monotonic() >= until:
                raise LimitReached
            await asyncio.sleep(_LOOK_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _enter(self) -> bool:
        with self._lock:
            now = time.monotonic()
            gained = (now - self._counted_at) * self._per_second
            self._tokens = min(self._burst, self._tokens + gained)
            self._counted_at = now
            if self._at_once and self._running >= self._at_once:
                return False
            if self._per_second:
                if self._tokens < 1.0:
                    return False
                self._tokens -= 1.0
            self._running += 1
            return True
