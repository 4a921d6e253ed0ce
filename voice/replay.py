"""A stream that can be listened to again."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Replay(Generic[T]):
    """Items that can be iterated again from their start, while they still come in.

    Args:
        source: Where they come from; asked for an item only when somebody wants it.

    Attributes:
        items: Those so far.
    """

    def __init__(self, source: AsyncIterable[T]) -> None:
        self._source = aiter(source)
        self._reading: asyncio.Task[list[T]] | None = None
        self._ended = False
        self.items: list[T] = []

    async def __aiter__(self) -> AsyncIterator[T]:
        position = 0
        while position < len(self.items) or await self.more():
            yield self.items[position]
            position += 1

    async def more(self) -> bool:
        """Wait for one more item; False at the end.

        Whoever is cancelled here does not break the source.
        """
        if not self._ended:
            reading = self._reading = self._reading or asyncio.create_task(self._next())
            found = await asyncio.shield(reading)
            if self._reading is reading:
                self._reading = None
                self._ended = not found
                self.items += found
        return not self._ended

    async def _next(self) -> list[T]:
        """The next item, or none at the end."""
        try:
            return [await anext(self._source)]
        except StopAsyncIteration:
            return []

    async def aclose(self) -> None:
        """Stop waiting for the source, and close it."""
        self._ended = True
        if self._reading:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if close := getattr(self._source, "aclose", None):
            await close()
