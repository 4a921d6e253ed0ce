"""A recogniser made of several: the next one listens to the same audio when one fails."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from typing import cast

from voice.asr.base import SAMPLE_RATE, Recognizer, RecognizerCapabilities, Transcript
from voice.fallback import Chain, Policy
from voice.replay import Replay

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
        kept = Replay(audio)
        try:
            if not self._any_streams:
                async for _ in kept:
                    pass
            transcripts = self._chain.run(
                lambda _, provider: provider.recognize(kept, language=language),
                first=first,
                hurry=not self._any_streams and _seconds(kept) <= _HURRIED_SECONDS,
                units=lambda: {"seconds": _seconds(kept)},
            )
            async with aclosing(cast(AsyncGenerator[Transcript, None], transcripts)) as items:
                async for transcript in items:
                    yield transcript
        finally:
            await kept.aclose()

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


def _seconds(audio: Replay[bytes]) -> float:
    """How much audio there is so far."""
    return sum(map(len, audio.items)) / 2 / SAMPLE_RATE
