"""A live turn in this event loop. No Django."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context

from chat.engine.events import TurnFailed
from chat.engine.listening import Listening
from chat.engine.live import LiveTurn, OnHeard, OnReply
from chat.engine.live_events import HearingEvent, HearingFailed, ReplyEvent, ReplyFailed
from chat.engine.order import ReplyOrder
from chat.engine.reply import Reply
from chat.engine.stages import Deadlines, Providers

log = logging.getLogger(__name__)


class LiveRun(LiveTurn):
    """The turn engine of a conversation by voice; belongs to the event loop it is made in.

    Its work runs in the context of whoever makes it, so that what is asked of providers is
    told there (``voice.attempts.collected``). After ``close`` calls do nothing, but for
    ``respond``, which fails.

    Args:
        providers: Who does the work. They are not closed here.
        on_heard: See ``LiveTurn``.
        on_reply: The same.
        deadlines: The patience for the utterance; a reply's comes with its order.
    """

    def __init__(
        self,
        providers: Providers,
        *,
        on_heard: OnHeard,
        on_reply: OnReply,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._providers = providers
        self._on_heard = on_heard
        self._on_reply = on_reply
        self._deadlines = deadlines or Deadlines()
        self._context = copy_context()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._listening: Listening | None = None
        self._run: int | None = None  # the reply whose events are told
        self._replying: asyncio.Task[None] | None = None

    def listen(self, *, language: str) -> None:
        if self._closed or self._listening is not None:
            return
        recognizer = self._providers.recognizer
        if recognizer is None:
            self._begin_hearing(self._deaf())
            return
        self._listening = Listening(
            recognizer,
            language=language,
            deadlines=self._deadlines,
            begin=self._begin_hearing,
            tell=self._tell_heard,
        )

    def hear(self, pcm: bytes) -> None:
        if self._listening:
            self._listening.hear(pcm)

    def peek(self) -> None:
        if self._listening:
            self._listening.peek()

    def finish_utterance(self, *, silent: bool = False) -> None:
        if self._listening:
            self._listening.finish(silent=silent)

    def respond(self, run: int, order: ReplyOrder) -> None:
        self.stop()
        self._run = run
        if self._closed:
            failure = ReplyFailed("turn", "closed")
            asyncio.get_running_loop().call_soon(self._tell_reply, run, failure)
            return
        self._replying = self._begin(
            self._reply(run, order),
            lambda: self._tell_reply(run, ReplyFailed("turn", "internal")),
        )

    def stop(self) -> None:
        self._run = None
        if self._replying:
            self._replying.cancel()
            self._replying = None

    def close(self) -> None:
        self._closed = True
        self._listening = None
        self.stop()
        for task in self._tasks:
            if not task.cancelling():  # one that is stopped is let close its connections
                task.cancel()

    async def wait_closed(self) -> None:
        """Until all work upstream has ended after ``close``, and its attempts were told."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- what runs in the background

    def _begin(
        self, work: Coroutine[None, None, None], broken: Callable[[], None]
    ) -> asyncio.Task[None]:
        """Run ``work``; where it ends in what nobody foresaw, ``broken`` is called."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                cause = task.exception()
            elif task.cancelling():
                return  # by us
            else:
                cause = asyncio.CancelledError("by whatever it waited for")
            if cause:
                log.error("a live turn broke", exc_info=cause)
                broken()

        task = asyncio.create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    def _begin_hearing(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._begin(work, lambda: self._tell_heard(HearingFailed("turn", "internal")))

    async def _deaf(self) -> None:
        self._tell_heard(HearingFailed("asr", "unavailable", "no recogniser is configured"))

    def _tell_heard(self, event: HearingEvent) -> None:
        if not self._closed:
            self._on_heard(event)

    async def _reply(self, run: int, order: ReplyOrder) -> None:
        reply = Reply(order, self._providers, lambda event: self._tell_reply(run, event))
        try:
            await reply.execute()
        except TurnFailed as error:
            self._tell_reply(run, ReplyFailed(error.stage, error.reason, error.detail))

    def _tell_reply(self, run: int, event: ReplyEvent) -> None:
        if self._run == run:
            self._on_reply(run, event)
