"""A text as audio in one of the formats of ``/v1/audio/speech``, while it is being made."""

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from voice.audio.encoders import FORMATS, SAMPLE_RATE
from voice.audio.resample import Resampler
from voice.audio.tempo import TempoChanger
from voice.errors import ProviderError
from voice.tts.base import VoiceRef
from voice.tts.cache import CachedSynthesizer

# What voices can do by themselves; the rest of the speed is stretched.
_SLOWEST, _FASTEST = 0.5, 2.0
# Longer pieces are encoded in a thread: at some 10 ms of CPU a second of audio at the worst,
# shorter ones cost less than the way there and back.
_INLINE_BYTES = SAMPLE_RATE * 2 // 4
# Of their own: who waits for a file must not stand behind somebody's minutes of audio.
_encoders = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode")


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be said, and how.

    Attributes:
        text: With words in it.
        voice: Who says it.
        speed: 0.25 to 4.
        format: A name of ``encoders.FORMATS``.
    """

    text: str
    voice: VoiceRef
    speed: float
    format: str


class SpokenText:
    """One text on its way through a synthesiser and an encoder.

    Args:
        saying: What is to be said.
        synthesizer: Takes a text of any length.

    Attributes:
        seconds: How much audio there is so far.
    """

    def __init__(self, saying: Saying, synthesizer: CachedSynthesizer) -> None:
        self._saying = saying
        self._synthesizer = synthesizer
        rate = synthesizer.capabilities.sample_rate
        own_speed = min(max(saying.speed, _SLOWEST), _FASTEST)
        rest = saying.speed / own_speed
        self._own_speed = own_speed
        self._resampler = Resampler(rate, SAMPLE_RATE) if rate != SAMPLE_RATE else None
        self._tempo = TempoChanger(SAMPLE_RATE, rest) if rest != 1.0 else None
        self._encoder = FORMATS[saying.format].encoder()
        self.seconds = 0.0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The encoded audio in pieces that are not empty, each as soon as it can be had.

        Raises:
            ProviderError: The synthesiser failed, or gave nothing. Closing the iterator
                stops it.
        """
        audio = self._synthesizer.synthesize(
            self._saying.text, voice=self._saying.voice, speed=self._own_speed
        )
        async with aclosing(cast(AsyncGenerator[bytes, None], audio)) as clip:
            async for pcm in clip:
                if encoded := await self._run(pcm):
                    yield encoded
        rest = await asyncio.get_running_loop().run_in_executor(_encoders, self._finish)
        if not self.seconds:
            provider = self._saying.voice.provider
            raise ProviderError("nothing was said", provider=provider, reason="unavailable")
        if rest:
            yield rest

    async def _run(self, pcm: bytes) -> bytes:
        if len(pcm) <= _INLINE_BYTES:
            return self._feed(pcm)
        return await asyncio.get_running_loop().run_in_executor(_encoders, self._feed, pcm)

    def _feed(self, pcm: bytes) -> bytes:
        if self._resampler:
            pcm = self._resampler.feed(pcm)
        if self._tempo:
            pcm = self._tempo.feed(pcm)
        return self._encode(pcm)

    def _encode(self, pcm: bytes) -> bytes:
        self.seconds += len(pcm) / 2 / SAMPLE_RATE
        return self._encoder.encode(pcm)

    def _finish(self) -> bytes:
        pcm = self._resampler.flush() if self._resampler else b""
        if self._tempo:
            pcm = self._tempo.feed(pcm) + self._tempo.flush()
        return self._encode(pcm) + self._encoder.finish()
