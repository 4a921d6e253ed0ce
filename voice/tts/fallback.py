"""A synthesiser made of several: the next one speaks when one fails."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar, cast

from voice.audio.resample import Resampler
from voice.errors import ProviderError
from voice.fallback import Chain, Policy
from voice.replay import Replay
from voice.tts.base import (
    IncrementalSynthesizer,
    SentenceBegins,
    Synthesizer,
    SynthesizerCapabilities,
    VoiceRef,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
Piece = TypeVar("Piece", bytes, bytes | SentenceBegins)

# (a voice, the registry name of another provider) -> that provider's nearest voice
NearestVoice = Callable[[VoiceRef, str], VoiceRef | None]


class FallbackSynthesizer:
    """Speaks with the voice's own provider, else with the nearest voice of the others.

    The provider of the voice is asked first where it is in the chain, the others in their
    order. Audio of another rate is converted to that of the first provider.

    Args:
        providers: By registry name, the preferred first.
        nearest_voice: Finds another provider's voice; one without any is passed over.
        policy: When to ask again.

    Raises:
        ValueError: There are no providers.
    """

    def __init__(
        self,
        providers: Mapping[str, Synthesizer],
        nearest_voice: NearestVoice,
        policy: Policy | None = None,
    ) -> None:
        self._chain = Chain("tts", providers, policy or Policy())
        self._nearest_voice = nearest_voice
        every = [provider.capabilities for provider in providers.values()]
        self.name = ",".join(providers)
        self.capabilities = SynthesizerCapabilities(
            sample_rate=every[0].sample_rate,
            streaming=all(each.streaming for each in every),
            max_characters=min(each.max_characters for each in every),
            incremental=frozenset().union(*(each.incremental for each in every)),
        )

    def synthesize(self, text: str, *, voice: VoiceRef, speed: float = 1.0) -> AsyncIterator[bytes]:
        """See `Synthesizer.synthesize`; ``voice`` may be any provider's."""
        return self.speak(text, voice=voice, speed=speed)

    def speak(
        self,
        text: str,
        *,
        voice: VoiceRef,
        speed: float = 1.0,
        chosen: Callable[[VoiceRef], None] = lambda _: None,
    ) -> AsyncIterator[bytes]:
        """``synthesize``, telling whose voice it is.

        Args:
            text: See `Synthesizer.synthesize`.
            voice: The same.
            speed: The same.
            chosen: Given each voice that is tried, before its audio; the last one speaks.
        """

        def begin(name: str, provider: Synthesizer) -> AsyncIterator[bytes] | None:
            own = voice if voice.provider == name else self._nearest_voice(voice, name)
            if own is None:
                return None
            chosen(own)
            pieces = provider.synthesize(text, voice=own, speed=speed)
            return self._at_our_rate(pieces, provider)

        return self._chain.run(begin, first=voice.provider, units=lambda: {"characters": len(text)})

    async def synthesize_stream(
        self, texts: AsyncIterator[str], *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes | SentenceBegins]:
        """See `IncrementalSynthesizer.synthesize_stream`; ``voice`` may be any provider's.

        Nobody is asked before there is text, but a connection is made by then. A provider
        that takes no text while it is written speaks the segments one by one. The next
        provider is asked while nothing was heard, and gets all the text.
        """
        kept = Replay(texts)
        preparing = asyncio.create_task(self._prepare(voice.provider))

        def begin(name: str, provider: Synthesizer) -> AsyncIterator[bytes | SentenceBegins] | None:
            own = voice if voice.provider == name else self._nearest_voice(voice, name)
            if own is None:
                return None
            if isinstance(provider, IncrementalSynthesizer):
                spoken = provider.synthesize_stream(aiter(kept), voice=own, speed=speed)
            else:
                spoken = _one_by_one(provider, kept, own, speed)
            return self._at_our_rate(spoken, provider)

        try:
            if await kept.more():
                spoken = self._chain.run(
                    begin,
                    first=voice.provider,
                    units=lambda: {"characters": sum(map(len, kept.items))},
                )
                async with aclosing(_generator(spoken)) as items:
                    async for item in items:
                        yield item
        finally:
            preparing.cancel()
            await kept.aclose()

    async def _prepare(self, name: str) -> None:
        """Have a connection to a provider that takes text while it is written."""
        provider = self._chain.providers.get(name)
        if isinstance(provider, IncrementalSynthesizer):
            try:
                await provider.warm()
            except ProviderError as error:
                log.info("%s is not ready: %s", name, error)  # who speaks next is told again

    def _at_our_rate(
        self, pieces: AsyncIterator[Piece], provider: Synthesizer
    ) -> AsyncIterator[Piece]:
        rate = provider.capabilities.sample_rate
        if rate == self.capabilities.sample_rate:
            return pieces
        return _resampled(pieces, Resampler(rate, self.capabilities.sample_rate))

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


async def _one_by_one(
    provider: Synthesizer, texts: AsyncIterable[str], voice: VoiceRef, speed: float
) -> AsyncIterator[bytes | SentenceBegins]:
    """What a provider says of segments, each a request of its own."""
    untold = ""
    async for text in texts:
        untold += text
        spoken = provider.synthesize(text, voice=voice, speed=speed)
        async with aclosing(_generator(spoken)) as pieces:
            async for pcm in pieces:
                if untold:
                    yield SentenceBegins(untold)
                    untold = ""
                yield pcm
    if untold:
        yield SentenceBegins(untold)


async def _resampled(pieces: AsyncIterator[Piece], resampler: Resampler) -> AsyncIterator[Piece]:
    async with aclosing(_generator(pieces)) as open_pieces:
        async for piece in open_pieces:
            if not isinstance(piece, bytes):
                yield piece
            elif pcm := resampler.feed(piece):
                yield pcm
    if pcm := resampler.flush():
        yield pcm


def _generator(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Providers give async generators; closing them closes their connections."""
    return cast(AsyncGenerator[T, None], items)
