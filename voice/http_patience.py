"""How long one waits for a peer in HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp


@contextlib.asynccontextmanager
async def patient(seconds: float | None) -> AsyncIterator[None]:
    """Wait for the peer no longer than this; without end where it is None.

    Not by aiohttp's ``sock_read``: where an answer has ended before it was read, its timer
    goes on at the idle connection, and whoever gets that one next fails at once.

    Raises:
        aiohttp.SocketTimeoutError: Nothing came, as with ``sock_read``.
    """
    patience = asyncio.timeout(seconds)
    try:
        async with patience:
            yield
    except TimeoutError as error:
        if not patience.expired():
            raise
        raise aiohttp.SocketTimeoutError(f"nothing came for {seconds:g} s") from error


async def pieces(content: aiohttp.StreamReader, patience: float | None) -> AsyncIterator[bytes]:
    """The pieces of a body as they come, each waited for no longer than ``patience`` seconds.

    Raises:
        aiohttp.SocketTimeoutError: Nothing came for that long.
        aiohttp.ClientError: The connection was lost.
    """
    while True:
        async with patient(patience):
            piece = await content.readany()
        if not piece:
            return
        yield piece
