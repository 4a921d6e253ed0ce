"""Hears one utterance, while it is spoken or at its end. No Django."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

from chat.engine.events import TurnFailed
from chat.engine.live_events import Heard, HearingEvent, HearingFailed
from chat.engine.stages import Deadlines, closing, recognized
from voice.asr.base import SAMPLE_RATE, Recognizer
from voice.errors import ProviderError

log = logging.getLogger(__name__)

Begin = Callable[[Coroutine[None, None, None]], "asyncio.Task[None]"]


class Listening:
    """One utterance; see ``LiveTurn`` for its calls and what they tell.

    A recogniser that streams hears the audio as it comes. Where it breaks off in the middle
    the whole utterance is recognised once more at its end. Any other is asked at the end,
    or before it by ``peek``.

    Args:
        recognizer: Who hears. It is not closed here.
        language: A hint, may be empty.
        deadlines: The patience once the utterance has ended.
        begin: Runs work in the background.
        tell: Takes each event, in order; never called from within a call.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        language: str,
        deadlines: Deadlines,
        begin: Begin,
        tell: Callable[[HearingEvent], None],
    ) -> None:
        self._recognizer = recognizer
        self._language = language
        self._deadlines = deadlines
        self._begin = begin
        self._tell = tell
        self._recording = _Recording()
        self._streams = recognizer.capabilities.streaming
        self._ends = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        self._peek: asyncio.Task[None] | None = None
        self._peeked: str | None = None
        self._peeked_bytes = -1
        self._work = begin(self._concluding(self._follow if self._streams else self._whole))

    def hear(self, pcm: bytes) -> None:
        if self._ends.is_set():
            return
        self._recording.add(pcm)
        if self._recording.seconds > self._recognizer.capabilities.max_seconds:
            self.close()
            self._work = self._begin(self._concluding(self._too_long))

    def peek(self) -> None:
        nothing_new = self._peeked_bytes == self._recording.size
        if self._streams or self._ends.is_set() or nothing_new or not self._recording.size:
            return
        self._forget_peek()
        self._peeked_bytes = self._recording.size
        self._peek = self._begin(self._look())

    def finish(self, *, silent: bool) -> None:
        if self._ends.is_set():
            return
        if not silent and self._peeked_bytes != self._recording.size:
            self._forget_peek()
        self._ends.set()
        self._recording.end()
        if self._patience and not self._patience.expired():
            self._patience.reschedule(self._deadline())

    def close(self) -> None:
        """Stop; nothing is told any more."""
        self._ends.set()
        self._forget_peek()
        self._work.cancel()

    async def _concluding(self, work: Callable[[], Awaitable[str]]) -> None:
        """Tell what comes of ``work``, whatever it is."""
        try:
            text = await work()
        except TurnFailed as error:
            self._tell(HearingFailed(error.stage, error.reason, error.detail))
        else:
            self._tell(Heard(text, final=True))

    # --- a recogniser that streams

    async def _follow(self) -> str:
        try:
            text = await self._streamed()
            if self._ends.is_set():
                return text
        except ProviderError as error:
            if not (error.elsewhere or error.reason == "incomplete"):
                raise TurnFailed("asr", error.reason, f"{error.provider}: {error}") from error
        await self._ends.wait()
        return await self._recognized()

    async def _streamed(self) -> str:
        text = ""
        audio = aiter(self._recording)
        try:
            async with asyncio.timeout_at(self._deadline()) as self._patience:
                transcripts = self._recognizer.recognize(audio, language=self._language)
                async with closing(transcripts) as items:
                    async for transcript in items:
                        heard = transcript.text.strip()
                        if heard != text and not transcript.is_final:
                            self._tell(Heard(heard, final=False))
                        text = heard
        except TimeoutError as error:
            raise TurnFailed("asr", "timeout", f"after {self._deadlines.asr:g} s") from error
        finally:
            self._patience = None
        return text

    def _deadline(self) -> float | None:
        """Of the streamed recognition: none while the person speaks."""
        if not self._ends.is_set():
            return None
        return asyncio.get_running_loop().time() + self._deadlines.asr

    # --- any other

    async def _whole(self) -> str:
        await self._ends.wait()
        if self._peek:
            await asyncio.wait({self._peek})
            if self._peeked is not None:
                return self._peeked
        return await self._recognized()

    async def _look(self) -> None:
        try:
            text = await self._recognized()
        except TurnFailed:
            return  # asked again at the end, and told then
        except Exception:
            log.exception("a peek broke")  # likewise
            return
        self._peeked = text
        if not self._ends.is_set():
            self._tell(Heard(text, final=False))

    def _forget_peek(self) -> None:
        if self._peek:
            self._peek.cancel()
        self._peek, self._peeked, self._peeked_bytes = None, None, -1

    async def _recognized(self) -> str:
        return await recognized(
            self._recognizer,
            self._recording.whole(),
            language=self._language,
            deadlines=self._deadlines,
        )

    async def _too_long(self) -> str:
        raise TurnFailed("asr", "too_long", f"{self._recording.seconds:.1f} s")


class _Recording:
    """The audio of an utterance; iterated, it gives all of it, also what is still to come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._ended = False
        self._changed = asyncio.Event()
        self.size = 0

    @property
    def seconds(self) -> float:
        return self.size / 2 / SAMPLE_RATE

    def add(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self.size += len(pcm)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    def whole(self) -> bytes:
        return b"".join(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        position = 0
        while True:
            self._changed.clear()
            if position < len(self._pieces):
                piece = b"".join(self._pieces[position:])
                position = len(self._pieces)
                yield piece
            elif self._ended:
                return
            else:
                await self._changed.wait()
