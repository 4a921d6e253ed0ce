"""Speaks a reply while it is being written. No Django."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from chat.engine.owed import Owed
from chat.engine.segment_queue import SegmentQueue, gap
from chat.engine.segmenter import Segmenter
from chat.engine.speakable import SpeakableFilter
from chat.engine.stages import Deadlines, closing, next_of, within
from chat.engine.synthesis import Synthesis
from voice.audio.resample import Resampler
from voice.tts.base import IncrementalSynthesizer, SentenceBegins, Synthesizer, VoiceRef

RATE: Final = 24_000
"""Hz of all that comes out, whoever speaks."""

AHEAD: Final = 2
"""Syntheses that are begun while the one before them is still being spoken."""

_SLOWEST, _FASTEST = 0.5, 2.0
# The clock of a timer may be behind by as much; looking too early would mean looking twice.
_LATER = 0.002


class Mouth:
    """One reply: text in as the model writes it, PCM16 mono at 24 000 Hz out.

    A voice that takes text while it is written gets one stream. For any other each segment
    is a request, and the next ones are under way while one is being spoken; what they give
    comes in the order of the text all the same, and a failure in its place.

    Args:
        synthesizer: Who speaks. It is not closed here.
        voice: The voice; any that ``synthesizer`` knows.
        language: ``zh`` or ``en``: how signs and numbers are read.
        speed: Of the voice; 1.0 is its own pace. Voices take 0.5 to 2.0: what is beyond is
            spoken at that.
        deadlines: The patience for a segment's first audio, and between two pieces.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        voice: VoiceRef,
        *,
        language: str = "zh",
        speed: float = 1.0,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._synthesizer = synthesizer
        self._voice = voice
        self._speed = min(max(speed, _SLOWEST), _FASTEST)
        self._deadlines = deadlines or Deadlines()
        self._filter = SpeakableFilter(language)
        self._segmenter = Segmenter()
        self._segments = SegmentQueue()
        self._changed = asyncio.Event()  # what `_texts` decides by
        self._ended = False
        self._begun: list[Synthesis] = []  # and not handed on to the end
        self._handed = 0.0  # seconds of audio of those that were
        self._heard_since: float | None = None
        self.has_words = False
        """Whether there is anything to speak in what was written so far."""

    def write(self, text: str) -> None:
        """The next piece of the reply, as the model wrote it."""
        self._add(self._segmenter.feed(self._filter.feed(text)))

    def end(self) -> None:
        """The reply is complete; once."""
        self._ended = True
        self._add(self._segmenter.feed(self._filter.flush()))
        self._add(self._segmenter.flush())
        self._segments.close()
        self._changed.set()

    async def speech(self) -> AsyncGenerator[bytes | SentenceBegins, None]:
        """All that is spoken, and before the first audio of each part its text.

        To be iterated once, beside ``write``; ends after ``end``. Texts joined read as one.

        Raises:
            TurnFailed: In ``tts``. Closing the iterator closes all connections.
        """
        rate = self._synthesizer.capabilities.sample_rate
        resampler = Resampler(rate, RATE) if rate != RATE else None
        told = ""
        async with closing(self._stream() if self._streams() else self._in_turn()) as items:
            async for item in items:
                if isinstance(item, SentenceBegins):
                    text = gap(told, item.text) + item.text
                    told = text or told
                    yield SentenceBegins(text)
                    continue
                self._note_heard()
                if pcm := resampler.feed(item) if resampler else item:
                    yield pcm
        if resampler and (rest := resampler.flush()):
            yield rest

    def _add(self, segments: list[str]) -> None:
        for segment in segments:
            self._segments.add(segment)
            self.has_words = True
            self._changed.set()

    def _streams(self) -> bool:
        return self._voice.provider in self._synthesizer.capabilities.incremental and isinstance(
            self._synthesizer, IncrementalSynthesizer
        )

    # --- a voice that takes text while it is written

    async def _stream(self) -> AsyncGenerator[bytes | SentenceBegins, None]:
        assert isinstance(self._synthesizer, IncrementalSynthesizer)
        owed = Owed(self._deadlines.tts_first, self._deadlines.tts_next)
        spoken = self._synthesizer.synthesize_stream(
            owed.noted(self._texts()), voice=self._voice, speed=self._speed
        )
        async with closing(spoken) as items:
            while (item := await within(None, "tts", owed.next(items))) is not None:
                if isinstance(item, bytes):
                    self._handed += len(item) / 2 / self._synthesizer.capabilities.sample_rate
                yield item

    # --- a voice that is asked for each segment

    async def _in_turn(self) -> AsyncGenerator[bytes | SentenceBegins, None]:
        waiting: asyncio.Queue[Synthesis | None] = asyncio.Queue()
        places = asyncio.Semaphore(1 + AHEAD)
        beginning = asyncio.create_task(self._begin_ahead(waiting, places))
        try:
            while (synthesis := await waiting.get()) is not None:
                if synthesis.was_crowded_out:
                    synthesis = self._again(synthesis)
                untold = True
                async with closing(synthesis.pieces()) as pieces:
                    async for pcm in pieces:
                        if untold:
                            yield SentenceBegins(synthesis.text)
                            untold = False
                        yield pcm
                if untold:  # nothing in it has a sound
                    yield SentenceBegins(synthesis.text)
                self._begun.remove(synthesis)
                self._handed += synthesis.seconds
                places.release()
            await beginning
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            await asyncio.gather(*(synthesis.aclose() for synthesis in self._begun))

    async def _begin_ahead(
        self, waiting: asyncio.Queue[Synthesis | None], places: asyncio.Semaphore
    ) -> None:
        """Ask for the segments in order, as soon as there is a place for one more."""
        try:
            async with closing(self._texts()) as texts:
                # The place first: the longer a text waits for it, the more can join it.
                while await places.acquire() and (text := await next_of(texts)) is not None:
                    synthesis = self._ask(text)
                    self._begun.append(synthesis)
                    waiting.put_nowait(synthesis)
        finally:
            waiting.put_nowait(None)

    def _ask(self, text: str) -> Synthesis:
        pieces = self._synthesizer.synthesize(text, voice=self._voice, speed=self._speed)
        rate = self._synthesizer.capabilities.sample_rate
        return Synthesis(text, pieces, rate, self._speed, self._deadlines, self._changed.set)

    def _again(self, synthesis: Synthesis) -> Synthesis:
        """Ask once more now that its turn has come, and with it a place at the provider's."""
        again = self._ask(synthesis.text)
        self._begun[self._begun.index(synthesis)] = again
        return again

    # --- how much is asked for at once

    async def _texts(self) -> AsyncIterator[str]:
        """The texts to speak, each as soon as it is better to ask for it than to wait."""
        while True:
            self._changed.clear()
            lead = self._lead()
            text = self._segments.take(lead)
            if text is not None:
                yield text
                continue
            if self._ended and not len(self._segments):
                return
            # Held back while enough audio waits to be heard: look again when it runs low.
            held_back = len(self._segments) > 0 and self._heard_since is not None
            wait = max(0.0, lead - self._segments.enough) + _LATER if held_back else None
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _lead(self) -> float:
        """Seconds of audio that were made or are being made, and are not heard yet."""
        made = self._handed + sum(synthesis.seconds for synthesis in self._begun)
        if self._heard_since is None:
            return made
        return max(0.0, made - (asyncio.get_running_loop().time() - self._heard_since))

    def _note_heard(self) -> None:
        """Played from the first piece on, audio is heard at its own pace."""
        if self._heard_since is None:
            self._heard_since = asyncio.get_running_loop().time()
            self._changed.set()
