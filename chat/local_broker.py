"""The broker of the embedded mode: Kombu's memory transport, woken by its messages.

Kombu's own looks at its queues again and again. Looking each 5 ms takes 5 to 10 % of a core
for ever and makes a turn wait for 3 ms.
"""

import threading
import time
from queue import Empty
from typing import Any

from kombu.transport import memory

# A consumer that was full takes up again after so long at most (seconds).
_LOOK_SECONDS = 0.1

_arrived = threading.Event()


class Channel(memory.Channel):
    """Tells of each message that it was put."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        _arrived.set()


class Transport(memory.Transport):
    """Waits until there is something."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver one message. Raises TimeoutError where none comes within ``timeout`` s."""
        assert self.cycle is not None
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            # Cleared before the look, so that what comes after it is not missed.
            _arrived.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
            except Empty:
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError from None
                _arrived.wait(_LOOK_SECONDS)
            else:
                return
