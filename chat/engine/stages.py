"""What the stages of a turn share: who does the work, and how long it may take. No Django."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar, cast

from chat.engine.events import Stage, TurnFailed
from chat.llm.base import LanguageModel
from voice.asr.base import SAMPLE_RATE as ASR_RATE
from voice.asr.base import Recognizer
from voice.errors import ProviderError
from voice.tts.base import Synthesizer

T = TypeVar("T")

# Audio that is there already is handed to a recogniser in pieces of 100 ms.
_ASR_BLOCK = ASR_RATE // 10 * 2


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
class Providers:
    """Who does the work. The recogniser or synthesiser may be missing (no weights, no key)."""

    llm: LanguageModel
    recognizer: Recognizer | None
    synthesizer: Synthesizer | None


async def within(seconds: float | None, stage: Stage, work: Awaitable[T]) -> T:
    """Await ``work``; its provider's failure or its deadline fails the stage.

    Raises:
        TurnFailed: In ``stage``.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        after = f"after {seconds:g} s" if seconds is not None else ""
        raise TurnFailed(stage, "timeout", after) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody stops the turn: what the provider itself waited for was cancelled.
        raise TurnFailed(stage, "unavailable", "cancelled by the provider") from error
    except ProviderError as error:
        raise TurnFailed(stage, error.reason, f"{error.provider}: {error}") from error


async def next_of(items: AsyncIterator[T]) -> T | None:
    """The next item; None at the end."""
    return await anext(items, None)


def closing(iterator: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """Providers give async generators; closing them closes the provider's connection."""
    return aclosing(cast(AsyncGenerator[T, None], iterator))


async def recognized(
    recognizer: Recognizer, pcm: bytes, *, language: str, deadlines: Deadlines
) -> str:
    """What is said in a whole utterance, PCM16 mono at 16 000 Hz; empty where nothing is.

    Raises:
        TurnFailed: In ``asr``; ``too_long`` without asking anybody.
    """
    seconds = len(pcm) / 2 / ASR_RATE
    if seconds > recognizer.capabilities.max_seconds:
        raise TurnFailed("asr", "too_long", f"{seconds:.1f} s")

    async def final() -> str:
        text = ""
        async with closing(recognizer.recognize(_blocks(pcm), language=language)) as transcripts:
            async for transcript in transcripts:
                text = transcript.text
        return text.strip()

    return await within(deadlines.asr + seconds, "asr", final())


async def _blocks(pcm: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), _ASR_BLOCK):
        yield pcm[start : start + _ASR_BLOCK]
