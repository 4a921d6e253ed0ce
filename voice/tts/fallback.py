"""A synthesiser made of several: the next one speaks when one fails."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import cast

from voice.audio.resample import Resampler
from voice.fallback import Chain, Policy
from voice.tts.base import Synthesizer, SynthesizerCapabilities, VoiceRef

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
            rate = provider.capabilities.sample_rate
            if rate == self.capabilities.sample_rate:
                return pieces
            return _resampled(pieces, Resampler(rate, self.capabilities.sample_rate))

        return self._chain.run(begin, first=voice.provider, units=lambda: {"characters": len(text)})

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


async def _resampled(pieces: AsyncIterator[bytes], resampler: Resampler) -> AsyncIterator[bytes]:
    async with aclosing(cast(AsyncGenerator[bytes, None], pieces)) as open_pieces:
        async for piece in open_pieces:
            if pcm := resampler.feed(piece):
                yield pcm
    if pcm := resampler.flush():
        yield pcm
