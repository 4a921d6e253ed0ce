"""The sockets of ``/v1/realtime`` that are open in this process."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from accounts.openai_http import ApiError

_of_user: Counter[int] = Counter()
_goodbyes: dict[asyncio.Event, Callable[[], None]] = {}


@contextmanager
def place(user_id: int) -> Iterator[None]:
    """Count a socket of a user for as long as the block runs; for the event loop.

    Raises:
        ApiError: 429: MAX_WEBSOCKET_CONNECTIONS of theirs are open.
    """
    most = settings.MAX_WEBSOCKET_CONNECTIONS
    if _of_user[user_id] >= most:
        raise ApiError(
            429,
            f"Rate limit reached: {most} connections are open.",
            code="rate_limit_exceeded",
            headers={"Retry-After": "5"},
        )
    _of_user[user_id] += 1
    try:
        yield
    finally:
        _of_user[user_id] -= 1
        if not _of_user[user_id]:
            del _of_user[user_id]


@contextmanager
def listed(goodbye: Callable[[], None]) -> Iterator[None]:
    """Have ``goodbye`` called, while the block runs, when the process is asked to end."""
    ended = asyncio.Event()
    _goodbyes[ended] = goodbye
    try:
        yield
    finally:
        del _goodbyes[ended]
        ended.set()


async def close_all(seconds: float) -> None:
    """Say goodbye on every socket, and wait until all are closed, but for no longer."""
    closing = [asyncio.create_task(ended.wait()) for ended in _goodbyes]
    for goodbye in list(_goodbyes.values()):
        goodbye()
    if closing:
        _done, late = await asyncio.wait(closing, timeout=seconds)
        for each in late:
            each.cancel()
