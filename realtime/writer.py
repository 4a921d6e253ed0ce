"""The one writer of a socket: whatever goes to the client goes through here, in order."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import structlog

from accounts.sockets import Send

logger = structlog.get_logger(__name__)

# What may wait for a client that reads too slowly (characters of JSON, nearly all ASCII).
LIMIT = 8 * 2**20
# How long a client that reads nothing may take for the last frames (seconds).
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: str


class Writer:
    """Takes frames at once, and sends them one after the other.

    Where more than LIMIT waits, all of it is dropped and the socket closed with 1008.

    Args:
        send: Of the ASGI server; it waits while the connection takes nothing.
        limit: Instead of LIMIT.
    """

    def __init__(self, send: Send, *, limit: int = LIMIT) -> None:
        self._send = send
        self._limit = limit
        self._waiting: deque[str | asyncio.Future[Any] | _Close] = deque()
        self._size = 0
        self._something = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether the socket is to be closed: nothing more is taken."""
        return self._ended.is_set()

    def write(self, text: str) -> None:
        """Send a frame, some time; a frame that comes after ``finish`` is dropped."""
        if self._ended.is_set():
            return
        # One frame alone may be larger: the audio of a long item.
        if self._size and self._size + len(text) > self._limit:
            logger.warning("slow reader cut off", waiting=self._size)
            self._waiting.clear()
            self.finish(1008, "slow reader")
            return
        self._size += len(text)
        self._put(text)

    def hold(self, until: asyncio.Future[Any]) -> None:
        """Send nothing that comes after this before ``until`` has ended, well or badly."""
        if not self._ended.is_set():
            self._put(until)

    def finish(self, code: int, reason: str) -> None:
        """Close the socket once everything before was sent. The first call counts."""
        if not self._ended.is_set():
            self._ended.set()
            # A close frame holds 123 bytes of reason.
            cut = reason.encode()[:123].decode(errors="ignore")
            self._put(_Close(code, cut))

    async def run(self) -> None:
        """Send until the socket is closed; raises nothing where the client has gone.

        Once the end was ordered a client has some seconds to take what is left. Where a frame
        cannot be sent for any other reason, that is logged and the socket closed with 1011.
        """
        sending = asyncio.create_task(self._send_all())
        ending = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({sending, ending}, return_when=asyncio.FIRST_COMPLETED)
            _done, stuck = await asyncio.wait({sending}, timeout=_CLOSE_SECONDS)
            if stuck:
                logger.warning("client does not even take the end")
        finally:
            self._ended.set()
            self._waiting.clear()
            sending.cancel()
            ending.cancel()
            await asyncio.gather(sending, ending, return_exceptions=True)

    async def _send_all(self) -> None:
        try:
            await self._send_in_order()
        except (OSError, RuntimeError) as error:
            # The client went; whoever reads from it is told so.
            logger.debug("socket is gone", why=type(error).__name__)
        except Exception:
            logger.exception("frame cannot be sent")
            self._ended.set()
            with contextlib.suppress(OSError, RuntimeError):  # as above
                await self._send_close(_Close(1011, "internal error"))

    async def _send_in_order(self) -> None:
        while True:
            while not self._waiting:
                self._something.clear()
                await self._something.wait()
            following = self._waiting.popleft()
            if isinstance(following, str):
                await self._send({"type": "websocket.send", "text": following})
                self._size -= len(following)
            elif isinstance(following, _Close):
                await self._send_close(following)
                return
            else:
                await asyncio.wait({following})

    async def _send_close(self, close: _Close) -> None:
        await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})

    def _put(self, what: "str | asyncio.Future[Any] | _Close") -> None:
        self._waiting.append(what)
        self._something.set()
