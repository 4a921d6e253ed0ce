"""Several streams of audio one after the other, the next ones begun before their turn."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import cast


class _Clip:
    """The audio of one piece, kept from the time it comes to the time it is read."""

    def __init__(self) -> None:
        self._kept: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    async def fill(self, source: AsyncIterator[bytes]) -> None:
        last: Exception | None = None
        try:
            async with aclosing(cast(AsyncGenerator[bytes, None], source)) as pieces:
                async for piece in pieces:
                    self._kept.put_nowait(piece)
        except Exception as error:  # it is raised where the audio is read
            last = error
        self._kept.put_nowait(last)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (item := await self._kept.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


async def read_ahead(
    sources: Sequence[Callable[[], AsyncIterator[bytes]]], *, at_once: int
) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """Several streams in their order, the next ones begun before their turn.

    Args:
        sources: Begin a stream each; all streams are async generators.
        at_once: How many run, the one being read included.

    Yields:
        Each stream; read it to its end before the next is asked for. What a stream raises is
        raised there. Closing the iterator closes all streams.
    """
    clips = [_Clip() for _ in sources]
    tasks: list[asyncio.Task[None]] = []
    try:
        for number, clip in enumerate(clips):
            while len(tasks) < min(number + at_once, len(sources)):
                begun = len(tasks)
                tasks.append(asyncio.create_task(clips[begun].fill(sources[begun]())))
            yield aiter(clip)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
