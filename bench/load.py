"""The load: many sockets of one process, each asking again when it was answered.

Light on purpose, since it shares the cores with what it measures: one loop (uvloop), no
compression, and a message is parsed only when its beginning says that it matters.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

TURN_SECONDS = 60.0
WARM_UP = 8  # turns


@dataclass(frozen=True, slots=True)
class Visitor:
    """One user's socket: where, as whom, and what it asks."""

    url: str
    headers: Mapping[str, str]
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn as the client saw it, in ms since the message was sent."""

    first: float
    end: float


async def open_socket(stack: AsyncExitStack, visitor: Visitor) -> ClientConnection:
    return await stack.enter_async_context(
        connect(
            visitor.url,
            additional_headers=visitor.headers,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=60,
        )
    )


async def ask(socket: ClientConnection, message: str, is_first: Callable[[str], bool]) -> Asked:
    """One turn to its final message. Raises RuntimeError where it fails."""
    begun = time.perf_counter()
    await socket.send(message)
    first = 0.0
    async with asyncio.timeout(TURN_SECONDS):
        while True:
            answer = str(await socket.recv())
            now = (time.perf_counter() - begun) * 1000
            if not first and is_first(answer):
                first = now
            if is_last(answer):
                break
    if not first:
        raise RuntimeError(f"the turn ended without its first piece: {answer[:300]}")
    return Asked(first, now)


def is_last(answer: str) -> bool:
    """Whether a message ends its turn; both sockets."""
    if '"delta"' in answer[:60] or '"is_final": false' in answer:
        return False
    fields = json.loads(answer)
    if "error" in fields or fields["type"] == "error":
        raise RuntimeError(f"the turn failed: {answer[:300]}")
    if "role_id" in fields:
        return fields["type"] in ("text", "voice")
    return bool(fields["is_final"])


async def steady(
    visitors: Sequence[Visitor], is_first: Callable[[str], bool], *, turns: int, spread: float
) -> list[Asked]:
    """All visitors talk at once, each without a pause between its turns.

    Their starts are spread over ``spread`` seconds, as they are among people; 0 lets all
    begin in the same moment. A few turns go before and are not counted: each process and
    each of its database connections is slower at its first.
    """
    async with AsyncExitStack() as stack:
        sockets = [await open_socket(stack, visitor) for visitor in visitors]
        messages = [json.dumps(dict(visitor.message)) for visitor in visitors]
        for _ in range(max(1, WARM_UP // len(sockets))):
            first = zip(sockets, messages, strict=True)
            await asyncio.gather(*(ask(*each, is_first) for each in first))

        async def talk(number: int) -> list[Asked]:
            await asyncio.sleep(spread * number / len(visitors))
            return [await ask(sockets[number], messages[number], is_first) for _ in range(turns)]

        talks = await asyncio.gather(*map(talk, range(len(visitors))))
    return [asked for each in talks for asked in each]


async def bursts(
    visitors: Sequence[Visitor], is_first: Callable[[str], bool], *, turns: int
) -> list[Asked]:
    """All visitors ask in the same moment, and again when the last one has its answer."""
    async with AsyncExitStack() as stack:
        sockets = [await open_socket(stack, visitor) for visitor in visitors]
        messages = [json.dumps(dict(visitor.message)) for visitor in visitors]
        pairs = list(zip(sockets, messages, strict=True))
        await asyncio.gather(*(ask(*each, is_first) for each in pairs))
        asked: list[Asked] = []
        for _ in range(turns):
            asked += await asyncio.gather(*(ask(*each, is_first) for each in pairs))
    return asked
