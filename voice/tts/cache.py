"""Speech that is kept: what was spoken once is not synthesised again."""

import asyncio
import hashlib
import logging
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from itertools import islice
from typing import Any, Protocol, cast

from prometheus_client import Counter

from voice.audio.codecs import AudioError
from voice.audio.flac import flac_bytes, flac_pieces
from voice.sentences import pieces
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.fallback import FallbackSynthesizer

logger = logging.getLogger(__name__)

_lookups = Counter(
    "liyuan_speech_cache_lookups",
    "Looks for speech that is kept: hit, miss, or failed where the store could not be had",
    ["outcome"],
)
_bytes = Counter("liyuan_speech_cache_bytes", "Size of the speech that was newly kept")
_BATCH = 16  # pieces of 0.1 s decoded at once, after the first


class StoreError(Exception):
    """The store cannot be had at the moment."""


class SpeechStore(Protocol):
    """Where kept speech is: whole FLAC files by key."""

    async def get(self, key: str) -> bytes | None:
        """The file; None where there is none. Raises StoreError."""
        ...

    async def put(self, key: str, file: bytes) -> None:
        """Keep a file, unless one is kept under this key already. Raises StoreError."""
        ...

    async def discard(self, key: str) -> None:
        """Forget a file, if there is one. Raises StoreError."""
        ...


def speech_key(text: str, voice: VoiceRef, model: str, speed: float = 1.0) -> str:
    """Names kept speech: 64 hexadecimal digits.

    Over provider, model, voice, speed, format and text; white space and the way in which
    characters are composed make no difference.

    Args:
        text: What is said.
        voice: Who says it.
        model: What else decides how the provider sounds.
        speed: See `Synthesizer.synthesize`.
    """
    said = " ".join(unicodedata.normalize("NFC", text).split())
    parts = ("1", voice.provider, model, voice.name, voice.language, f"{speed:.3f}", "flac", said)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class CachedSynthesizer:
    """A chain of synthesisers whose speech is kept, and heard again without them.

    Only what was spoken to its end is kept, under the voice that spoke it: where another
    provider stood in, its voice never takes the place of the one that was asked for. Several
    callers that miss the same key at once each have it synthesised, and the first to end
    keeps it. A store that fails is logged and does without: speech goes on.

    Args:
        chain: Who speaks. Closed by ``aclose``.
        model_of: What else, besides the voice, decides how a provider sounds: its model, its
            server. Given the registry name.
        store: Where the speech is kept; None keeps nothing.
    """

    def __init__(
        self, chain: FallbackSynthesizer, model_of: Callable[[str], str], store: SpeechStore | None
    ) -> None:
        self._chain = chain
        self._model_of = model_of
        self._store = store
        self._keeping: set[asyncio.Task[None]] = set()
        self.name = chain.name
        self.capabilities: SynthesizerCapabilities = chain.capabilities

    def key(self, text: str, voice: VoiceRef, speed: float = 1.0) -> str:
        """See `speech_key`."""
        return speech_key(text, voice, self._model_of(voice.provider), speed)

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        """See `Synthesizer.synthesize`; a text that is too long is spoken piece by piece."""
        kept = self.recall(text, voice=voice, speed=speed)
        begun = False
        async with aclosing(kept):
            async for pcm in kept:
                begun = True
                yield pcm
        if begun:
            return
        speakers: set[VoiceRef] = set()
        spoken = bytearray()
        longest = self.capabilities.max_characters
        for part in pieces(text, longest=longest, first=longest):
            async with aclosing(self._speak(part, voice, speed, speakers)) as stream:
                async for pcm in stream:
                    spoken += pcm
                    yield pcm
        if spoken and self._store is not None and len(speakers) == 1:
            key = self.key(text, speakers.pop(), speed)
            self._later(self._keep(self._store, key, bytes(spoken)))

    async def _speak(
        self, text: str, voice: VoiceRef, speed: float, speakers: set[VoiceRef]
    ) -> AsyncGenerator[bytes, None]:
        """What the chain says; the voice that said it is added to ``speakers``."""
        speaker = voice

        def chosen(own: VoiceRef) -> None:
            nonlocal speaker
            speaker = own

        spoken = self._chain.speak(text, voice=voice, speed=speed, chosen=chosen)
        async with aclosing(cast(AsyncGenerator[bytes, None], spoken)) as stream:
            async for pcm in stream:
                yield pcm
        speakers.add(speaker)

    async def recall(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncGenerator[bytes, None]:
        """What is kept of this speech; no provider is asked.

        Yields:
            PCM16 mono at ``capabilities.sample_rate``; nothing where it is not kept.
        """
        if self._store is None:
            return
        key = self.key(text, voice, speed)
        try:
            file = await self._store.get(key)
        except StoreError as error:
            _lookups.labels("failed").inc()
            logger.warning("kept speech cannot be had: %s", error)
            return
        _lookups.labels("miss" if file is None else "hit").inc()
        if file is None:
            return
        # A FLAC file of speech tells a piece of 0.1 s in some 20 µs: too little for a thread,
        # and the others have their turn between two of them.
        samples = flac_pieces(file, self.capabilities.sample_rate)
        batch = 1
        try:
            while pcm := _joined(samples, batch):
                yield pcm
                batch = _BATCH
        except AudioError as error:
            logger.warning("kept speech %s is damaged: %s", key, error)
            with suppress(StoreError):  # the next one who reads it finds the same
                await self._store.discard(key)

    async def holds(self, text: str, *, voice: VoiceRef, speed: float = 1.0) -> bool:
        """Whether this speech is kept; not counted, as nobody wants to hear it."""
        if self._store is None:
            return False
        try:
            return await self._store.get(self.key(text, voice, speed)) is not None
        except StoreError as error:
            logger.warning("kept speech cannot be looked up: %s", error)
            return False

    async def warm(self) -> None:
        """See `Synthesizer.warm`."""
        await self._chain.warm()

    async def flush(self) -> None:
        """Wait until what was spoken by now is kept."""
        while self._keeping:
            await asyncio.gather(*self._keeping)

    async def aclose(self) -> None:
        """Keep what is to be kept, then close the chain."""
        await self.flush()
        await self._chain.aclose()

    async def _keep(self, store: SpeechStore, key: str, pcm: bytes) -> None:
        file = await asyncio.to_thread(flac_bytes, pcm, self.capabilities.sample_rate)
        await store.put(key, file)
        _bytes.inc(len(file))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """The listener has all of the speech; storing it is not for them to wait for."""

        async def guarded() -> None:
            try:
                await work
            except StoreError as error:
                logger.warning("speech is not kept: %s", error)

        task = asyncio.create_task(guarded())
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)


def _joined(pieces: Iterator[bytes], count: int) -> bytes:
    return b"".join(islice(pieces, count))
