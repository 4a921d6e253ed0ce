"""One turn, from what the user said to the last byte of the reply."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar, cast

from chat.engine.events import AudioReady, Event, Stage, TextReady, TranscriptReady, TurnFailed
from chat.engine.owed import Owed
from chat.engine.segment_queue import SegmentQueue
from chat.engine.segmenter import Segmenter
from chat.engine.speakable import SpeakableFilter
from chat.llm.base import Completion, LanguageModel, Prompt, TextDelta
from voice.asr.base import SAMPLE_RATE as ASR_RATE
from voice.asr.base import Recognizer
from voice.audio.codecs import Mp3Encoder
from voice.audio.resample import Resampler
from voice.errors import ProviderError
from voice.tts.base import IncrementalSynthesizer, SentenceBegins, Synthesizer, VoiceRef

T = TypeVar("T")

MP3_RATE = 24_000
# The audio is handed to a recogniser in pieces of 100 ms.
_ASR_BLOCK = ASR_RATE // 10 * 2
# An apology is read from storage; nobody waits for long to be told of a failure.
_APOLOGY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a stage may take; a stage past its deadline fails with ``timeout``.

    Attributes:
        audio: To fetch and decode the spoken message.
        asr: To recognise it, on top of its own length.
        llm_first: To the model's first piece of text.
        llm_next: Between two pieces.
        tts_first: To a segment's first audio.
        tts_next: Between two pieces of audio.
        turn: For all of it.
    """

    audio: float = 20.0
    asr: float = 30.0
    llm_first: float = 30.0
    llm_next: float = 20.0
    tts_first: float = 30.0
    tts_next: float = 20.0
    turn: float = 180.0


@dataclass(frozen=True, slots=True)
class TurnSpec:
    """All that a turn needs to know beforehand.

    Attributes:
        context: Builds the prompt from what the user says now.
        text: What the user typed; empty for a spoken message.
        spoken: The message is audio, to be recognised first.
        language: ``zh`` or ``en``: the character's language, a hint to the recogniser.
        voice: Who speaks the reply; None for a reply in text alone.
        max_tokens: Upper bound of the reply.
        temperature: Of the model, 0 to 2.
        deadlines: A stage's patience.
        apology: Gives what is said where the voice fails (PCM16 mono at the synthesiser's
            rate, maybe nothing), without asking anybody. May be empty.
    """

    context: Callable[[str], Prompt]
    text: str
    spoken: bool = False
    language: str = "zh"
    voice: VoiceRef | None = None
    max_tokens: int = 600
    temperature: float = 0.8
    deadlines: Deadlines = field(default_factory=Deadlines)
    apology: Callable[[], Awaitable[bytes]] | None = None


@dataclass(frozen=True, slots=True)
class Providers:
    """Who does the work. The recogniser or synthesiser may be missing (no weights, no key)."""

    llm: LanguageModel
    recognizer: Recognizer | None
    synthesizer: Synthesizer | None


class TurnRun:
    """A turn under way.

    ``execute`` runs it once. What came of it so far stands in the attributes, also after
    a failure or a cancellation: ``transcript``, ``text`` (the reply as far as it was
    emitted), ``audio`` (its MP3 as far as it was emitted), ``audio_seconds``,
    ``completion``, and ``timings`` (ms since the start, by the name of what was reached).

    Args:
        spec: What to do.
        providers: Who does it. They are not closed here.
        load_audio: Gives the spoken message as PCM16 mono at 16 000 Hz; called once, and
            only for a spoken message. May raise TurnFailed.
        emit: Takes each event, in order, one at a time. A slow ``emit`` slows the turn.
    """

    def __init__(
        self,
        spec: TurnSpec,
        providers: Providers,
        *,
        load_audio: Callable[[], Awaitable[bytes]],
        emit: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._spec = spec
        self._providers = providers
        self._load_audio = load_audio
        self._emit = emit
        self.transcript = ""
        self.text = ""
        self.audio = bytearray()
        self.audio_seconds = 0.0
        self.completion = Completion()
        self.timings: dict[str, float] = {}
        self._begun = 0.0
        self._segments = SegmentQueue()
        self._segments_changed = asyncio.Event()
        self._text_ended = False
        self._spoken: list[tuple[str, float]] = []  # text, second at which its audio begins

    async def execute(self) -> None:
        """Run the turn to its end.

        Raises:
            TurnFailed: A stage failed. Nothing is emitted afterwards; where it is the voice
                that failed, the last audio is its apology, if there is one.
            asyncio.CancelledError: The caller cancelled; providers' connections are closed.
        """
        self._begun = time.perf_counter()
        try:
            async with asyncio.timeout(self._spec.deadlines.turn):
                said = await self._listen() if self._spec.spoken else self._spec.text
                prompt = self._spec.context(said)
                self._mark("context")
                if self._spec.voice is None:
                    await self._write(prompt)
                else:
                    await self._write_and_speak(prompt, self._spec.voice)
        except TimeoutError:
            raise TurnFailed("turn", "timeout") from None
        self._mark("end")

    def _mark(self, name: str) -> None:
        elapsed = (time.perf_counter() - self._begun) * 1000
        self.timings.setdefault(name, round(elapsed, 1))

    # --- listening

    async def _listen(self) -> str:
        deadlines = self._spec.deadlines
        recognizer = self._providers.recognizer
        if recognizer is None:
            raise TurnFailed("asr", "unavailable", "no recogniser is configured")
        pcm = await _within(deadlines.audio, "audio", self._load_audio())
        self._mark("audio")
        seconds = len(pcm) / 2 / ASR_RATE
        if seconds > recognizer.capabilities.max_seconds:
            raise TurnFailed("asr", "too_long", f"{seconds:.1f} s")

        async def recognize() -> str:
            final = ""
            transcripts = recognizer.recognize(_blocks(pcm), language=self._spec.language)
            async with _closing(transcripts) as results:
                async for transcript in results:
                    final = transcript.text
            return final.strip()

        self.transcript = await _within(deadlines.asr + seconds, "asr", recognize())
        self._mark("asr")
        if not self.transcript:
            raise TurnFailed("asr", "silent")
        await self._emit(TranscriptReady(self.transcript))
        return self.transcript

    # --- writing

    async def _write(self, prompt: Prompt) -> None:
        """Stream the model's text; with a voice, feed the segments as well."""
        deadlines = self._spec.deadlines
        filter_ = SpeakableFilter(self._spec.language)
        segmenter = Segmenter()
        speaks = self._spec.voice is not None
        stream = self._providers.llm.stream(
            prompt, max_tokens=self._spec.max_tokens, temperature=self._spec.temperature
        )
        async with _closing(stream) as items:
            patience = deadlines.llm_first
            while (item := await _within(patience, "llm", _next(items))) is not None:
                if isinstance(item, Completion):
                    self.completion = item
                elif item.text:
                    self._mark("first_text")
                    patience = deadlines.llm_next
                    await self._say(item)
                    if speaks:
                        self._add(segmenter.feed(filter_.feed(item.text)))
        if not self.text.strip():
            raise TurnFailed("llm", "empty", self.completion.finish_reason)
        if speaks:
            self._add(segmenter.feed(filter_.flush()))
            self._add(segmenter.flush())
            self._text_ended = True
            self._segments.close()
            self._segments_changed.set()

    def heard_text(self) -> str:
        """The spoken segments that a listener, who heard all audio at once, has heard by now."""
        first = self.timings.get("first_audio")
        if first is None:
            return ""
        heard = time.perf_counter() - self._begun - first / 1000
        return "".join(text for text, begins in self._spoken if begins < heard)

    async def _say(self, delta: TextDelta) -> None:
        await self._emit(TextReady(delta.text))
        self.text += delta.text

    def _add(self, segments: list[str]) -> None:
        for segment in segments:
            self._mark("first_segment")
            self._segments.add(segment)
        if segments:
            self._segments_changed.set()

    # --- speaking

    async def _write_and_speak(self, prompt: Prompt, voice: VoiceRef) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(prompt))
                group.create_task(self._speak(voice))
        except* TurnFailed as failures:
            # The first one is the cause; a sibling is only cancelled by it.
            raise cast(TurnFailed, failures.exceptions[0]) from None

    async def _speak(self, voice: VoiceRef) -> None:
        synthesizer = self._providers.synthesizer
        if synthesizer is None:
            raise TurnFailed("tts", "unavailable", "no synthesiser is configured")
        encoder = Mp3Encoder(MP3_RATE)
        rate = synthesizer.capabilities.sample_rate
        resampler = Resampler(rate, MP3_RATE) if rate != MP3_RATE else None
        try:
            async with aclosing(self._speech(synthesizer, voice)) as items:
                async for item in items:
                    if isinstance(item, SentenceBegins):
                        self._spoken.append((item.text, self.audio_seconds))
                        continue
                    self.audio_seconds += len(item) / 2 / rate
                    await self._play(encoder.encode(resampler.feed(item) if resampler else item))
        except TurnFailed:
            if pcm := await self._apology():
                rest = resampler.feed(pcm) + resampler.flush() if resampler else pcm
                await self._play(encoder.encode(rest) + encoder.finish())
            raise
        rest = encoder.encode(resampler.flush()) if resampler else b""
        await self._play(rest + encoder.finish())

    async def _apology(self) -> bytes:
        if self._spec.apology is None:
            return b""
        try:
            async with asyncio.timeout(_APOLOGY_SECONDS):
                return await self._spec.apology()
        except TimeoutError:
            return b""  # the failure itself is told

    async def _play(self, mp3: bytes) -> None:
        if mp3:
            self._mark("first_audio")
            await self._emit(AudioReady(mp3))
            self.audio += mp3

    async def _speech(
        self, synthesizer: Synthesizer, voice: VoiceRef
    ) -> AsyncGenerator[bytes | SentenceBegins, None]:
        """All that is spoken, and before the audio of each part its text."""
        deadlines = self._spec.deadlines
        if voice.provider in synthesizer.capabilities.incremental and isinstance(
            synthesizer, IncrementalSynthesizer
        ):
            owed = Owed(deadlines.tts_first, deadlines.tts_next)
            spoken = synthesizer.synthesize_stream(owed.noted(self._to_speak()), voice=voice)
            async with _closing(spoken) as items:
                while (item := await _within(None, "tts", owed.next(items))) is not None:
                    yield item
            return
        async for text in self._to_speak():
            yield SentenceBegins(text)
            async with _closing(synthesizer.synthesize(text, voice=voice)) as pieces:
                patience = deadlines.tts_first
                while (pcm := await _within(patience, "tts", _next(pieces))) is not None:
                    patience = deadlines.tts_next
                    yield pcm

    async def _to_speak(self) -> AsyncIterator[str]:
        while (text := await self._next_segment()) is not None:
            yield text

    async def _next_segment(self) -> str | None:
        """The next text to speak; None at the end of the reply."""
        while True:
            self._segments_changed.clear()
            text = self._segments.take(self._buffered())
            if text is not None:
                return text
            if self._text_ended and not len(self._segments):
                return None
            # Held back while enough audio waits to be heard: look again when it runs low.
            wait = 0.25 if len(self._segments) else None
            try:
                async with asyncio.timeout(wait):
                    await self._segments_changed.wait()
            except TimeoutError:
                continue

    def _buffered(self) -> float:
        """Seconds of audio that were made and, played since the first, not heard yet."""
        first = self.timings.get("first_audio")
        if first is None:
            return 0.0
        played = time.perf_counter() - self._begun - first / 1000
        return max(0.0, self.audio_seconds - played)


async def _within(seconds: float | None, stage: Stage, work: Awaitable[T]) -> T:
    """Await ``work``; its provider's failure or its deadline fails the stage."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        after = f"after {seconds:g} s" if seconds is not None else ""
        raise TurnFailed(stage, "timeout", after) from error
    except ProviderError as error:
        raise TurnFailed(stage, error.reason, f"{error.provider}: {error}") from error


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)


def _closing(iterator: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """Providers give async generators; closing them closes the provider's connection."""
    return aclosing(cast(AsyncGenerator[T, None], iterator))


async def _blocks(pcm: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), _ASR_BLOCK):
        yield pcm[start : start + _ASR_BLOCK]
