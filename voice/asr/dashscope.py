"""Recognition by DashScope while one speaks: Paraformer and Fun-ASR."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from voice.asr.base import SAMPLE_RATE, Recognizer, RecognizerCapabilities, Transcript
from voice.dashscope.backoff import BackOff
from voice.dashscope.config import DashScopeConfig
from voice.dashscope.errors import DashScopeError
from voice.dashscope.messages import Parameters, RunPayload, Sentence, output_of, recognition
from voice.dashscope.pool import Pool
from voice.dashscope.task import Task, running

_BYTES_A_SECOND = SAMPLE_RATE * 2
_FRAME = _BYTES_A_SECOND // 10  # 100 ms, as the service advises
_LEAST = _FRAME  # bytes; in less nobody says anything
_MOST_SECONDS = 3_600.0


def build(config: DashScopeConfig) -> Recognizer:
    """The recogniser of ``config.asr_model``."""
    if config.asr_streams:
        return StreamingRecognizer(config)
    from voice.asr.dashscope_utterance import UtteranceRecognizer

    return UtteranceRecognizer(config)


class StreamingRecognizer:
    """Paraformer or Fun-ASR over the task protocol: text comes while audio goes in.

    Audio that pauses for long is bridged with silence: the service ends a task after 23 s
    without a frame.

    Args:
        config: Where the service is, and the model.
    """

    name = "dashscope"
    capabilities = RecognizerCapabilities(streaming=True, max_seconds=_MOST_SECONDS)

    def __init__(self, config: DashScopeConfig) -> None:
        self._config = config
        self._pool = Pool(config, "asr")
        # Silence before the first result says nothing: there may be nothing to hear.
        self._patience = replace(config.patience, first_audio=config.patience.silence)

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """See `Recognizer.recognize`."""
        frames = _Frames(audio)
        try:
            first = await frames.next()
            if not first or len(first) < _LEAST:
                yield Transcript("", is_final=True, language=language)
                return
            transcripts = self._recognized(self._payload(language), first, frames, language)
            async with aclosing(transcripts) as items:
                async for transcript in items:
                    yield transcript
        finally:
            await frames.aclose()

    async def warm(self) -> None:
        """Have a connection at hand; a key that is refused is noticed here.

        Raises:
            ProviderError: There is none to be had.
        """
        await self._pool.warm()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self._pool.probe()

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _recognized(
        self, payload: RunPayload, first: bytes, frames: "_Frames", language: str
    ) -> AsyncGenerator[Transcript, None]:
        """Refused for its rate before any audio was sent, it is asked again after a pause."""
        back_off = BackOff()
        while True:
            heard = _Heard()
            started = False
            try:
                async with running(self._pool, payload, self._patience) as task:
                    started = True
                    sender = asyncio.create_task(self._send(task, first, frames))
                    try:
                        while (message := await task.receive()) is not None:
                            if isinstance(message, bytes):
                                continue
                            sentence = output_of(message).get("sentence") or {}
                            if heard.take(sentence):
                                yield Transcript(heard.text, is_final=False, language=language)
                    finally:
                        sender.cancel()
                        await asyncio.wait({sender})
            except DashScopeError as error:
                if error.kind == "no_speech":
                    yield Transcript("", is_final=True, language=language)
                    return
                if started or error.kind != "rate":
                    raise error.broke_off() if heard.text else error from None
                await back_off.wait(error)
            else:
                yield Transcript(heard.text, is_final=True, language=language)
                return

    async def _send(self, task: Task, first: bytes, frames: "_Frames") -> None:
        try:
            frame: bytes | None = first
            while frame:
                await task.hear(frame)
                while (frame := await frames.next(self._patience.pause)) is None:
                    await task.hear(bytes(_FRAME))
            await task.finish()
        except Exception as error:
            # Of a lost connection whoever receives learns by itself, and better: why.
            if not isinstance(error, DashScopeError) or error.kind != "server":
                task.fail(error)

    def _payload(self, language: str) -> RunPayload:
        parameters: Parameters = {
            "format": "pcm",
            "sample_rate": SAMPLE_RATE,
            "semantic_punctuation_enabled": False,
            "punctuation_prediction_enabled": True,
            "inverse_text_normalization_enabled": True,
            "heartbeat": True,
        }
        if language:
            # People mix: the hint comes first, but is not all there is.
            both = [language, *(each for each in ("zh", "en") if each != language)]
            parameters["language_hints"] = both
        return recognition(self._config.asr_model, parameters)


class _Heard:
    """The sentences of an utterance, the last of them still open."""

    def __init__(self) -> None:
        self._closed = ""
        self._open = ""

    @property
    def text(self) -> str:
        """All of it."""
        return _joined(self._closed, self._open)

    def take(self, sentence: Sentence) -> bool:
        """Add what came; whether it changed anything."""
        if sentence.get("heartbeat") or "text" not in sentence:
            return False
        before = self.text
        self._open = sentence["text"].strip()
        # Either sign closes it: the documents show each of them without the other.
        if sentence.get("sentence_end") or sentence.get("end_time") is not None:
            self._closed, self._open = self.text, ""
        return self.text != before


class _Frames:
    """Audio in frames of 100 ms; waiting for one can be given up without losing it."""

    def __init__(self, audio: AsyncIterable[bytes]) -> None:
        self._pieces = _framed(audio)
        self._next: asyncio.Task[bytes] | None = None

    async def next(self, seconds: float | None = None) -> bytes | None:
        """The next frame, empty at the end; None if none came in time."""
        if self._next is None:
            self._next = asyncio.create_task(self._fetch())
        await asyncio.wait({self._next}, timeout=seconds)
        if not self._next.done():
            return None
        frame, self._next = self._next.result(), None
        return frame

    async def _fetch(self) -> bytes:
        return await anext(self._pieces, b"")

    async def aclose(self) -> None:
        if self._next:
            self._next.cancel()
            await asyncio.wait({self._next})
        await self._pieces.aclose()


async def _framed(audio: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    pieces = aiter(audio)
    rest = bytearray()
    try:
        async for piece in pieces:
            rest += piece
            while len(rest) >= _FRAME:
                yield bytes(rest[:_FRAME])
                del rest[:_FRAME]
        if even := len(rest) & ~1:
            yield bytes(rest[:even])
    finally:
        if close := getattr(pieces, "aclose", None):
            await close()


def _joined(left: str, right: str) -> str:
    between = " " if left and right and left[-1].isascii() and right[0].isascii() else ""
    return left + between + right
