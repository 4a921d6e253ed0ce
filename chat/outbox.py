"""Sends the frames of one end of a live turn.

The cost of a bus is per message, not per byte: what comes while a message is on its way, or
right after one, is gathered and sent together.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from chat.bus.base import BEAT_SECONDS, BusUnavailable, Frame, Key, Kind, TurnBus

logger = logging.getLogger(__name__)


class Outbox:
    """The one writer of a stream of frames; no call waits.

    Shows that its end lives by a ``beat`` where it has had nothing to tell for BEAT_SECONDS.

    Args:
        bus: Where to.
        key: Whose frames.
        gather: Frames that are not urgent wait until so long after the message before
            (seconds).
        on_lost: Called once where the bus is away, or a frame cannot be sent for any other
            reason. Nothing is sent any more: what lies behind a hole would never be read.
    """

    def __init__(
        self, bus: TurnBus, key: Key, *, gather: float, on_lost: Callable[[], None]
    ) -> None:
        self._bus = bus
        self._key = key
        self._gather = gather
        self._on_lost = on_lost
        self._seq = 0
        self._waiting: list[Frame] = []
        self._sent = 0.0
        self._any = asyncio.Event()
        self._urgent = asyncio.Event()
        self._ended = False
        self._sending = asyncio.create_task(self._send())

    def put(self, kind: Kind, data: Any = "", *, urgent: bool = True) -> None:
        """Send a frame, and with it what waits; does nothing after ``end``."""
        if self._ended:
            return
        self._waiting.append(Frame(1, self._seq, kind, data))
        self._seq += 1
        self._any.set()
        if urgent:
            self._urgent.set()

    def end(self) -> None:
        """Nothing more comes; what waits is still sent."""
        self._ended = True
        self._any.set()
        self._urgent.set()

    async def wait_ended(self) -> None:
        """Until all is sent, or the bus was found away."""
        await asyncio.wait({self._sending})

    async def _send(self) -> None:
        while self._waiting or not self._ended:
            await self._gathered()
            frames, self._waiting = self._waiting, []
            self._any.clear()
            self._urgent.clear()
            if not frames:
                continue
            self._sent = time.monotonic()
            try:
                await self._bus.publish(self._key, frames)
            except BusUnavailable as error:
                logger.warning("live turn %s: frames lost: %s", self._key, error)
                self._give_up()
            except Exception:
                logger.exception("live turn %s: frames that cannot be sent", self._key)
                self._give_up()

    def _give_up(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._on_lost()

    async def _gathered(self) -> None:
        """Until something is to be sent."""
        if not await _set_within(BEAT_SECONDS, self._any):
            self.put("beat")
            return
        wait = self._sent + self._gather - time.monotonic()
        if wait > 0:
            await _set_within(wait, self._urgent)


async def _set_within(seconds: float, event: asyncio.Event) -> bool:
    if not event.is_set():
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
    return True
