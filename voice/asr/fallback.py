"""A recogniser made of several: the next one listens to the same audio when one fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from typing import cast

from voice.asr.base import SAMPLE_RATE, Recognizer, RecognizerCapabilities, Transcript
from voice.fallback import Chain, Policy
from voice.replay import Replay

_MORE = 0.1  # seconds of patience on top, for each second of audio
_AT_HAND_SECONDS = 0.05  # audio that is there by then was there before
_HURRIED_SECONDS = 60.0  # nobody says more than that at a time


class FallbackRecognizer:
    """Asks recognisers in order. The audio is kept, so that the next one hears all of it.

    Args:
        providers: By registry name, the preferred first.
        policy: When to ask again. Its patience holds where the audio is all there before
            it begins, as one that streams also waits for the person who speaks; not for a
            recording of minutes.

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
        kept = Replay(audio)
        try:
            whole = await self._is_whole(kept)
            transcripts = self._chain.run(
                lambda _, provider: provider.recognize(kept, language=language),
                first=first,
                hurry=whole and _seconds(kept) <= _HURRIED_SECONDS,
                more=_seconds(kept) * _MORE,
                units=lambda: {"seconds": _seconds(kept)},
            )
            async with aclosing(cast(AsyncGenerator[Transcript, None], transcripts)) as items:
                async for transcript in items:
                    yield transcript
        finally:
            await kept.aclose()

    async def _is_whole(self, audio: Replay[bytes]) -> bool:
        """Whether the person has spoken already. Where nobody streams, that is waited for."""
        try:
            async with asyncio.timeout(_AT_HAND_SECONDS if self._any_streams else None):
                async for _ in audio:
                    pass
        except TimeoutError:
            return False
        return True

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


def _seconds(audio: Replay[bytes]) -> float:
    """How much audio there is so far."""
    return sum(map(len, audio.items)) / 2 / SAMPLE_RATE
