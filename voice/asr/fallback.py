"""A recogniser made of several: the next one listens to the same audio when one fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from typing import cast

from voice.asr.base import SAMPLE_RATE, Recognizer, RecognizerCapabilities, Transcript
from voice.fallback import Chain, Policy

_HURRIED_SECONDS = 60.0  # nobody says more than that at a time


class FallbackRecognizer:
    """Asks recognisers in order. The audio is kept, so that the next one hears all of it.

    Args:
        providers: By registry name, the preferred first.
        policy: When to ask again. Its patience holds only where no provider streams, as
            one that streams also waits for the person who speaks, and not for a recording
            of minutes.

    Raises:
        ValueError: There are no providers.
    """

    def __init__(self, providers: Mapping[str, Recognizer], policy: Policy | None = None) -> None:
        self._chain = Chain("asr", providers, policy or Policy())
        every = [provider.capabilities for provider in providers.values()]
        self.name = ",".join(providers)
        self.capabilities = RecognizerCapabilities(
            streaming=every[0].streaming, max_seconds=min(each.max_seconds for each in every)
        )
        self._any_streams = any(each.streaming for each in every)

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = "", first: str = ""
    ) -> AsyncIterator[Transcript]:
        """See `Recognizer.recognize`; ``first`` is the provider to ask before the others."""
        kept = _Replay(audio)
        try:
            if not self._any_streams:
                async for _ in kept:
                    pass
            transcripts = self._chain.run(
                lambda _, provider: provider.recognize(kept, language=language),
                first=first,
                hurry=not self._any_streams and kept.seconds <= _HURRIED_SECONDS,
                units=lambda: {"seconds": kept.seconds},
            )
            async with aclosing(cast(AsyncGenerator[Transcript, None], transcripts)) as items:
                async for transcript in items:
                    yield transcript
        finally:
            kept.close()

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


class _Replay:
    """Audio that can be listened to again from its start, while it still comes in."""

    def __init__(self, audio: AsyncIterable[bytes]) -> None:
        self._source = aiter(audio)
        self._pieces: list[bytes | None] = []  # None is the end
        self._reading: asyncio.Task[bytes | None] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        position = 0
        while True:
            if position == len(self._pieces):
                await self._read()
            piece = self._pieces[position]
            if piece is None:
                return
            yield piece
            position += 1

    async def _read(self) -> None:
        """Add the next piece. A listener that is cancelled here does not break the source."""
        reading = self._reading = self._reading or asyncio.create_task(self._next())
        piece = await asyncio.shield(reading)
        if self._reading is reading:
            self._reading = None
            self._pieces.append(piece)

    async def _next(self) -> bytes | None:
        return await anext(self._source, None)

    @property
    def seconds(self) -> float:
        """How much audio there is so far."""
        return sum(len(piece) for piece in self._pieces if piece) / 2 / SAMPLE_RATE

    def close(self) -> None:
        if self._reading:
            self._reading.cancel()
