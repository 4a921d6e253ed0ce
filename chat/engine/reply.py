"""One reply of a live turn. No Django."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import cast

from chat.engine.events import TurnFailed
from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    ReplyEnded,
    ReplyEvent,
    SentenceReady,
    TextEnded,
    TextReady,
)
from chat.engine.mouth import Mouth
from chat.engine.order import ReplyOrder
from chat.engine.stages import Providers
from chat.engine.writing import written
from chat.llm.base import Completion, ToolCallDelta
from chat.llm.tokens import estimate_prompt, estimate_tokens
from voice.tts.base import SentenceBegins

# After these a space stands, and a sentence may begin.
_ASCII_MARKS = frozenset(".!?;:,\"')")


class Reply:
    """Makes one reply.

    Calls are told after all that is spoken: what belongs to a message stays together.

    Args:
        order: What to do.
        providers: Who does it. They are not closed here.
        tell: Takes each event, in order.
    """

    def __init__(
        self, order: ReplyOrder, providers: Providers, tell: Callable[[ReplyEvent], None]
    ) -> None:
        self._order = order
        self._providers = providers
        self._tell = tell
        self._mouth: Mouth | None = None
        self._speaking = False
        self._calls: list[ReplyEvent] = []  # held back while it speaks
        self._call = -1  # the open one
        self._written: list[str] = []
        self._completion = Completion()

    async def execute(self) -> None:
        """Make it, to the ``ReplyEnded`` that is told last.

        Raises:
            TurnFailed: A stage failed.
            asyncio.CancelledError: The caller cancelled; providers' connections are closed.
        """
        try:
            async with asyncio.timeout(self._order.deadlines.turn):
                if self._order.voice is None:
                    await self._write()
                else:
                    await self._write_and_speak()
        except TimeoutError:
            raise TurnFailed("turn", "timeout") from None
        self._tell(self._end())

    # --- writing

    async def _write(self) -> None:
        order = self._order
        if order.preface:
            self._say_preface()
        if order.prompt is not None:
            items = written(
                self._providers.llm,
                order.prompt,
                max_tokens=order.max_tokens,
                temperature=order.temperature,
                deadlines=order.deadlines,
            )
            async with aclosing(items):
                async for item in items:
                    if isinstance(item, Completion):
                        self._completion = item
                    elif isinstance(item, ToolCallDelta):
                        self._note_call(item)
                    else:
                        self._say(item.text)
            self._end_call()
            if self._call < 0 and not "".join(self._written).strip():
                raise TurnFailed("llm", "empty", self._completion.finish_reason)
        if self._call < 0 and self._mouth:
            self._end_text()
            self._tell(TextEnded())

    def _say_preface(self) -> None:
        preface = self._order.preface
        if self._order.prompt is None or preface[-1] not in _ASCII_MARKS:
            self._say(preface)
            return
        self._say(f"{preface} ")
        if self._mouth:
            self._mouth.write("\n")  # spoken at once: what the model adds is a line of its own

    def _say(self, text: str) -> None:
        self._written.append(text)
        self._tell(TextReady(text))
        if self._mouth:
            self._mouth.write(text)

    def _end_text(self) -> None:
        if self._mouth:
            self._mouth.end()

    # --- calls

    def _note_call(self, delta: ToolCallDelta) -> None:
        if delta.index != self._call:
            self._end_call()
            if self._call < 0:
                self._end_text()  # the last sentence need not wait for the call
            self._call = delta.index
            self._tell_call(CallBegins(delta.id, delta.name))
        if delta.arguments:
            self._written.append(delta.arguments)
            self._tell_call(CallArguments(delta.arguments))

    def _end_call(self) -> None:
        if self._call >= 0:
            self._tell_call(CallEnds())

    def _tell_call(self, event: ReplyEvent) -> None:
        if self._speaking:
            self._calls.append(event)
        else:
            self._tell(event)

    # --- speaking

    async def _write_and_speak(self) -> None:
        order, synthesizer = self._order, self._providers.synthesizer
        if synthesizer is None or order.voice is None:
            raise TurnFailed("tts", "unavailable", "no synthesiser is configured")
        self._mouth = Mouth(
            synthesizer,
            order.voice,
            language=order.language,
            speed=order.speed,
            deadlines=order.deadlines,
        )
        self._speaking = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(self._mouth))
                await self._write()
        except* TurnFailed as failures:
            # The first one is the cause; a sibling is only cancelled by it.
            raise cast(TurnFailed, failures.exceptions[0]) from None

    async def _speak(self, mouth: Mouth) -> None:
        async with aclosing(mouth.speech()) as items:
            async for item in items:
                if isinstance(item, SentenceBegins):
                    self._tell(SentenceReady(item.text))
                else:
                    self._tell(AudioReady(item))
        self._speaking = False
        for event in self._calls:
            self._tell(event)

    # --- the end

    def _end(self) -> ReplyEnded:
        """Where the provider did not count, the tokens are estimated."""
        completion, prompt = self._completion, self._order.prompt
        if prompt is None:
            return ReplyEnded("stop", 0, 0)
        return ReplyEnded(
            completion.finish_reason,
            completion.prompt_tokens or estimate_prompt(prompt),
            completion.completion_tokens or estimate_tokens("".join(self._written)),
            completion.cached_tokens,
        )
