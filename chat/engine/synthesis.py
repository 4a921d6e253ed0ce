"""One segment on its way to becoming speech. No Django."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from chat.engine.events import TurnFailed
from chat.engine.segmenter import spoken_seconds
from chat.engine.stages import Deadlines, closing, next_of, within


class Synthesis:
    """A request to a voice, begun at once and read as fast as it is answered.

    Args:
        text: The segment.
        pieces: What the provider says of it; closed here.
        rate: Hz of that.
        speed: Of the voice.
        deadlines: The patience for the first piece, and between two.
        ended: Called when the request has ended, whichever way.
    """

    def __init__(
        self,
        text: str,
        pieces: AsyncIterator[bytes],
        rate: int,
        speed: float,
        deadlines: Deadlines,
        ended: Callable[[], None],
    ) -> None:
        self.text = text
        self._expected = spoken_seconds(text) / speed
        self._rate = rate
        self._bytes = 0
        self._made: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended = ended
        self._reading = asyncio.create_task(self._read(pieces, deadlines))

    @property
    def seconds(self) -> float:
        """Of audio: estimated until all of it is there."""
        made = self._bytes / 2 / self._rate
        return made if self._reading.done() else max(made, self._expected)

    @property
    def was_crowded_out(self) -> bool:
        """Whether it has failed because as much as may be was asked of the provider already."""
        if self._bytes or not self._reading.done():
            return False
        failure = self._reading.exception()
        return isinstance(failure, TurnFailed) and failure.reason == "rate_limited"

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The audio, in pieces as they came; once.

        Raises:
            TurnFailed: In ``tts``, after what came before the failure.
        """
        while (pcm := await self._made.get()) is not None:
            yield pcm
        await self._reading

    async def aclose(self) -> None:
        """End the request, and close the provider's connection."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, pieces: AsyncIterator[bytes], deadlines: Deadlines) -> None:
        patience = deadlines.tts_first
        try:
            async with closing(pieces) as items:
                while (pcm := await within(patience, "tts", next_of(items))) is not None:
                    patience = deadlines.tts_next
                    self._bytes += len(pcm)
                    self._made.put_nowait(pcm)
        finally:
            self._made.put_nowait(None)
            self._ended()
