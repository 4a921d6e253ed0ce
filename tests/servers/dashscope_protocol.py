"""What the tasks and requests of the loopback DashScope have in common."""

import asyncio
import time
from typing import Any, Protocol


class Refused(Exception):
    """The answer is an error: task-failed, or the error body of HTTP.

    Attributes:
        code: Of the vendor's, such as InvalidParameter.
        message: Beside it.
        status: Over HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Dropped(Exception):
    """The script asks for the socket to be closed."""


class Sender(Protocol):
    """The way back to the client of a task."""

    async def event(self, name: str, payload: dict[str, Any]) -> None: ...

    async def audio(self, data: bytes) -> None: ...


async def until(moment: float) -> None:
    """Sleep to a point of the monotonic clock, so that a pace does not drift."""
    delay = moment - time.monotonic()
    if delay > 0:
        await asyncio.sleep(delay)


async def stall() -> None:
    """For ever."""
    await asyncio.Event().wait()
