"""One turn, from what the user said to the last byte of the reply."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

from chat.engine.events import AudioReady, Event, TextReady, TranscriptReady, TurnFailed
from chat.engine.mouth import RATE, Mouth
from chat.engine.stages import Deadlines, Providers, recognized, within
from chat.engine.writing import written
from chat.llm.base import Completion, Prompt, TextDelta
from voice.audio.codecs import Mp3Encoder
from voice.audio.resample import Resampler
from voice.tts.base import SentenceBegins, Synthesizer, VoiceRef

# An apology is read from storage; nobody waits for long to be told of a failure.
_APOLOGY_SECONDS = 0.5


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
                    await self._write(prompt, None)
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
        pcm = await within(deadlines.audio, "audio", self._load_audio())
        self._mark("audio")
        self.transcript = await recognized(
            recognizer, pcm, language=self._spec.language, deadlines=deadlines
        )
        self._mark("asr")
        if not self.transcript:
            raise TurnFailed("asr", "silent")
        await self._emit(TranscriptReady(self.transcript))
        return self.transcript

    # --- writing

    async def _write(self, prompt: Prompt, mouth: Mouth | None) -> None:
        """Stream the model's text; with a mouth, have it spoken as well."""
        spec = self._spec
        items = written(
            self._providers.llm,
            prompt,
            max_tokens=spec.max_tokens,
            temperature=spec.temperature,
            deadlines=spec.deadlines,
        )
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Completion):
                    self.completion = item
                elif isinstance(item, TextDelta):
                    self._mark("first_text")
                    await self._say(item)
                    if mouth:
                        mouth.write(item.text)
                        self._mark_words(mouth)
        if not self.text.strip():
            raise TurnFailed("llm", "empty", self.completion.finish_reason)
        if mouth:
            mouth.end()
            self._mark_words(mouth)

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

    def _mark_words(self, mouth: Mouth) -> None:
        if mouth.has_words:
            self._mark("first_segment")

    # --- speaking

    async def _write_and_speak(self, prompt: Prompt, voice: VoiceRef) -> None:
        synthesizer = self._providers.synthesizer
        if synthesizer is None:
            raise TurnFailed("tts", "unavailable", "no synthesiser is configured")
        mouth = Mouth(
            synthesizer, voice, language=self._spec.language, deadlines=self._spec.deadlines
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(mouth, synthesizer))
                await self._write(prompt, mouth)
        except* TurnFailed as failures:
            # The first one is the cause; a sibling is only cancelled by it.
            raise cast(TurnFailed, failures.exceptions[0]) from None

    async def _speak(self, mouth: Mouth, synthesizer: Synthesizer) -> None:
        encoder = Mp3Encoder(RATE)
        try:
            async with aclosing(mouth.speech()) as items:
                async for item in items:
                    if isinstance(item, SentenceBegins):
                        self._spoken.append((item.text, self.audio_seconds))
                        continue
                    self.audio_seconds += len(item) / 2 / RATE
                    await self._play(encoder.encode(item))
        except TurnFailed:
            if pcm := await self._apology():
                resampler = Resampler(synthesizer.capabilities.sample_rate, RATE)
                whole = resampler.feed(pcm) + resampler.flush()
                await self._play(encoder.encode(whole) + encoder.finish())
            raise
        await self._play(encoder.finish())

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
