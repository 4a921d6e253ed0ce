"""One utterance by CosyVoice, over as many tasks as it takes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from voice.dashscope.backoff import BackOff
from voice.dashscope.config import Patience
from voice.dashscope.errors import DashScopeError
from voice.dashscope.messages import Event, RunPayload, output_of
from voice.dashscope.pool import Pool
from voice.dashscope.task import Task, running
from voice.dashscope.unspoken import Unspoken, ends_a_sentence, pieces_of

_PIECE = 500  # characters of one message; the service takes 20 000, as it bills them
_BLAMELESS = 3  # tasks that may end for want of text, in one utterance


class Synthesis:
    """Has text spoken, as it comes in.

    What the service cannot finish is taken up again where that does no harm:

    - refused for its rate before any audio: after a pause (`BackOff`);
    - an engine code that is known to pass, with a voice that has spoken before: once;
    - no text for 20 s: the task is finished, another one speaks the rest;
    - failed in the middle: once, from the next sentence on.

    Args:
        pool: Connections to use.
        patience: How long the service is waited for.
    """

    def __init__(self, pool: Pool, patience: Patience) -> None:
        self._pool = pool
        self._patience = patience
        self._have_spoken: set[tuple[str, str]] = set()

    async def speak(
        self, payload: RunPayload, texts: AsyncIterator[str], *, in_one_piece: bool = False
    ) -> AsyncIterator[str | bytes]:
        """Speak texts, each at once: none is held back until the next one comes.

        The first task is started before there is any text.

        Args:
            payload: Of every task.
            texts: What to speak; closed at the end. Without anything to pronounce in
                them nothing is heard.
            in_one_piece: Texts are markup, each one a single message.

        Yields:
            Bytes of audio; and before the first of them of each sentence its text. These
            texts, joined, are those handed in.

        Raises:
            DashScopeError: It failed for good, ``incomplete`` after some audio.
        """
        utterance = _Utterance(_Source(texts), in_one_piece=in_one_piece)
        voice = (payload["model"], str(payload["parameters"].get("voice")))
        back_off = BackOff()
        begun, heard, again = False, False, False
        blameless = 0
        try:
            while not begun or await utterance.more():
                begun, utterance.was_empty = True, False
                try:
                    async with (
                        running(self._pool, payload, self._patience) as task,
                        aclosing(utterance.run(task, self._patience.pause)) as items,
                    ):
                        async for item in items:
                            heard = True
                            yield item
                except DashScopeError as error:
                    if heard:
                        error.broke_off()
                    if error.kind == "rate":
                        await back_off.wait(error)
                    elif error.kind == "idle" or utterance.was_empty:
                        blameless += 1
                        if blameless > _BLAMELESS:
                            raise
                    else:
                        if again or not self._may_pass(error, heard, voice):
                            raise
                        again = True
                    utterance.take_up(heard=heard)
                    if heard and not await utterance.more():
                        raise  # it was the last sentence
                else:
                    if heard:
                        self._have_spoken.add(voice)
            if rest := utterance.untold():
                yield rest
        finally:
            await utterance.aclose()
        if not heard and rest:
            raise DashScopeError("sent no audio", kind="server")

    def _may_pass(self, error: DashScopeError, heard: bool, voice: tuple[str, str]) -> bool:
        if heard:
            return error.kind in ("server", "timeout")
        return error.kind == "passing" and voice in self._have_spoken


class _Utterance:
    """What is common to the tasks that speak one utterance."""

    def __init__(self, source: "_Source", *, in_one_piece: bool) -> None:
        self._source = source
        self._in_one_piece = in_one_piece
        self._unspoken = Unspoken()
        self._untold = ""  # begun, and no audio of it yet
        self.was_empty = False  # whether the last task had no text to speak

    async def run(self, task: Task, pause: float) -> AsyncGenerator[str | bytes, None]:
        """Speak what there is and what comes, until the end or a pause."""
        self.was_empty = not self._unspoken.waiting
        sender = asyncio.create_task(self._send(task, pause))
        try:
            while (message := await task.receive()) is not None:
                if not isinstance(message, bytes):
                    self._note(message, task)
                    continue
                if not self._unspoken.begun and not self._untold:
                    self._untold = self._unspoken.begin()  # a model that tells no sentences
                if told := self._take_untold():
                    yield told
                yield message
        finally:
            sender.cancel()
            await asyncio.wait({sender})

    async def more(self) -> bool:
        """Whether there is text to speak; waits for it."""
        return bool(self._unspoken.waiting) or await self._source.ready()

    def take_up(self, *, heard: bool) -> None:
        """A task failed: the sentence it was in is spoken again, or left if it was heard."""
        if heard and not self._untold:
            self._unspoken.end()
        else:
            self._unspoken.rewind()
            self._untold = ""

    def untold(self) -> str:
        """Text that was spoken without its begin being told."""
        if self._unspoken.waiting:
            self._untold += self._unspoken.begin()
        return self._take_untold()

    async def aclose(self) -> None:
        await self._source.aclose()

    async def _send(self, task: Task, pause: float) -> None:
        try:
            if waiting := self._unspoken.waiting:
                await self._say(task, waiting)
            while text := await self._source.next(pause):
                self.was_empty = False
                self._unspoken.add(text)
                await self._say(task, text)
            self._unspoken.flush()
            await task.finish()
        except Exception as error:
            # Of a lost connection whoever receives learns by itself, and better: why.
            if not isinstance(error, DashScopeError) or error.kind != "server":
                task.fail(error)

    async def _say(self, task: Task, text: str) -> None:
        if self._in_one_piece:
            await task.say(text)
            task.owed(more=len(text))
            return
        for piece in pieces_of(text, _PIECE):
            await task.say(piece)
            if self._unspoken.owed:
                task.owed(more=len(piece))
        if ends_a_sentence(text) or await self._source.ready(0.0) or self._source.ended:
            return
        await task.flush()
        self._unspoken.flush()
        task.owed(more=0)

    def _note(self, event: Event, task: Task) -> None:
        output = output_of(event)
        match output.get("type"):
            case "sentence-begin":
                self._untold += self._unspoken.begin(output.get("original_text") or "…")
            case "sentence-end":
                self._unspoken.end()
                if not self._unspoken.owed:
                    task.settled()

    def _take_untold(self) -> str:
        told, self._untold = self._untold, ""
        return told


class _Source:
    """Texts one by one; waiting for one can be given up without losing it."""

    def __init__(self, texts: AsyncIterator[str]) -> None:
        self._texts = texts
        self._next: asyncio.Task[str | None] | None = None
        self.ended = False

    async def next(self, seconds: float) -> str | None:
        """The next text; None at the end, or if none came in time."""
        if not await self.ready(seconds):
            return None
        assert self._next is not None
        text, self._next = self._next.result(), None
        return text

    async def ready(self, seconds: float | None = None) -> bool:
        """Wait until there is a text (True), until the end, or for a time (False)."""
        while not self.ended:
            if self._next is None:
                self._next = asyncio.create_task(self._fetch())
            await asyncio.wait({self._next}, timeout=seconds)
            if not self._next.done():
                return False
            if self._next.result():
                return True
            self.ended = self._next.result() is None
            self._next = None  # an empty text is none
        return False

    async def _fetch(self) -> str | None:
        return await anext(self._texts, None)

    async def aclose(self) -> None:
        self.ended = True
        if self._next:
            self._next.cancel()
            await asyncio.wait({self._next})
        if close := getattr(self._texts, "aclose", None):
            await close()
