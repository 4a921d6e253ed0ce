"""Numbers, gathers and sends the frames of one turn.

The cost of a bus is per message, not per byte: what comes after a pause goes out at once,
what comes thick and fast is gathered for a moment and sent together.
"""

import asyncio
import logging
import time

from chat.bus.base import BusUnavailable, Frame, Kind, TurnBus

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.025
_END_TRIES = 8
_END_WAIT_SECONDS = 0.5


class Publisher:
    """The one writer of a turn's frames.

    A bus that is away loses frames but does not stop the turn: the reply is stored, and
    followers find it in the database.

    Args:
        bus: Where to.
        turn_id: Whose frames.
        attempt: Which run of the turn.
    """

    def __init__(self, bus: TurnBus, turn_id: int, attempt: int) -> None:
        self._bus = bus
        self._turn_id = turn_id
        self._attempt = attempt
        self._seq = 0
        self._waiting: list[tuple[Kind, str | bytes]] = []
        self._seen: set[Kind] = {"started"}  # nobody waits for that one
        self._sent = time.monotonic()
        self._timer: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def send(self, kind: Kind, data: str | bytes) -> None:
        """Queue a frame; awaits the bus only where it goes out at once."""
        self._waiting.append((kind, data))
        wait = self._sent + GATHER_SECONDS - time.monotonic()
        if kind not in self._seen or wait <= 0:
            self._seen.add(kind)
            await self._flush()
        elif self._timer is None:
            self._timer = asyncio.create_task(self._flush_after(wait))

    async def _flush_after(self, wait: float) -> None:
        await asyncio.sleep(wait)
        self._timer = None
        await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            frames = self._take()
            if not frames:
                return
            self._sent = time.monotonic()
            try:
                await self._bus.publish(self._turn_id, frames)
            except BusUnavailable as error:
                logger.warning("turn %s: frames lost: %s", self._turn_id, error)

    def _take(self) -> list[Frame]:
        """What waits, neighbours of one kind joined."""
        joined: list[tuple[Kind, str | bytes]] = []
        for kind, data in self._waiting:
            if joined and joined[-1][0] == kind:
                joined[-1] = (kind, joined[-1][1] + data)  # type: ignore[operator]
            else:
                joined.append((kind, data))
        self._waiting.clear()
        frames = []
        for kind, data in joined:
            frames.append(Frame(self._attempt, self._seq, kind, data))
            self._seq += 1
        return frames

    async def finish(self) -> None:
        """Send what waits, then ``ended``; tried again for a while if the bus is away."""
        if self._timer is not None:
            self._timer.cancel()
        await self._flush()
        frame = Frame(self._attempt, self._seq, "ended")
        for attempt in range(_END_TRIES):
            try:
                await self._bus.publish(self._turn_id, [frame])
            except BusUnavailable as error:
                logger.warning("turn %s: end not told (%s): %s", self._turn_id, attempt, error)
                await asyncio.sleep(_END_WAIT_SECONDS)
            else:
                return
