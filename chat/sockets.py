"""One socket's turns: stored as they come, run one after the other, told to the client."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from django.utils import translation

from accounts.database import in_database_thread, persistently
from accounts.models import User
from chat import selectors, services, turns
from chat.bus.base import BusUnavailable, Frame, Kind
from chat.messages import Say
from chat.selectors import TurnResult
from chat.services import CreatedTurn, Utterance
from uploads.selectors import UnknownAudio, audio_by_path, is_own_url

logger = structlog.get_logger(__name__)

# Turns that may wait behind the running one.
QUEUE_LENGTH = 8
_CANCEL_AGAIN_SECONDS = 1.0

# Turns outlive their socket: what was said is answered, and stored, all the same.
_runners: set[asyncio.Task[None]] = set()

Message = Mapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class QueueFull(Exception):
    """As many turns wait as may."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A stored turn in its place, and what the client asked of it."""

    say: Say
    turn: CreatedTurn


class Renderer(Protocol):
    """Puts one turn into the words of a protocol. One object a turn."""

    wanted: frozenset[Kind]

    def frame(self, frame: Frame) -> Sequence[Message]:
        """Messages for a frame of a wanted kind."""
        ...

    async def end(self, result: TurnResult) -> Sequence[Message]:
        """The last messages; exactly one of them is final."""
        ...

    def broken(self) -> Message:
        """The final message of a turn whose end cannot be told."""
        ...


class TurnQueue:
    """The turns of one socket.

    Args:
        user: Whose socket it is.
        channel: The protocol's name, kept with each turn.
        base_urls: Absolute addresses under which clients know this platform.
        language: Of the messages to the client.
        renderer: Makes the renderer of a turn.
        send: Sends one message to the client. After ``detach`` it is not called any more.
    """

    def __init__(
        self,
        *,
        user: User,
        channel: str,
        base_urls: Sequence[str],
        language: str,
        renderer: Callable[[Pending], Renderer],
        send: Send,
    ) -> None:
        self._user = user
        self._channel = channel
        self._base_urls = base_urls
        self._language = language
        self._renderer = renderer
        self._send: Send | None = send
        self._waiting: deque[Pending] = deque()
        self._running: Pending | None = None
        self._runner: asyncio.Task[None] | None = None
        self._cancelled = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether a turn runs or waits."""
        return self._running is not None or bool(self._waiting)

    async def say(self, say: Say) -> None:
        """Store what the user said and put its turn in line.

        Raises:
            QueueFull: Nothing was stored.
            UnknownAudio: The URL is ours, but no file of this user.
            services.RoleNotFound, services.ConversationNotFound: Nothing was stored.
            QuotaSpent: Nothing was stored.
        """
        if len(self._waiting) >= QUEUE_LENGTH:
            raise QueueFull
        turn = await in_database_thread(self._store, say)
        self._waiting.append(Pending(say, turn))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
            _runners.add(self._runner)
            self._runner.add_done_callback(_runners.discard)

    def _store(self, say: Say) -> CreatedTurn:
        if not say.url:
            utterance = Utterance(text=say.text)
        elif is_own_url(say.url, self._base_urls):
            audio = audio_by_path(user=self._user, url=say.url, base_urls=self._base_urls)
            if audio is None:
                raise UnknownAudio(say.url)
            utterance = Utterance(audio=audio, audio_url=say.url)
        else:
            utterance = Utterance(audio_url=say.url)
        return services.turn_create(
            user=self._user,
            role_id=say.role_id,
            utterance=utterance,
            reply_modality=say.reply,
            channel=self._channel,
            conversation_id=say.conversation_id,
            client_id=say.client_id,
        )

    async def cancel(self, client_id: str) -> bool:
        """Stop the turn of that id, or the running one; False where there is none."""
        if self._running and client_id in ("", self._running.say.client_id):
            self._cancelled.set()
            return True
        for pending in self._waiting:
            if client_id and pending.say.client_id == client_id:
                return await in_database_thread(
                    services.turn_cancel_queued, turn_id=pending.turn.turn_id
                )
        return False

    def detach(self) -> None:
        """The socket is gone: turns go on, nothing is sent."""
        self._send = None

    async def _run(self) -> None:
        while self._waiting:
            self._running = pending = self._waiting.popleft()
            self._cancelled.clear()
            structlog.contextvars.bind_contextvars(turn_id=pending.turn.turn_id)
            renderer = self._renderer(pending)
            try:
                messages = await self._follow(pending, renderer)
            except Exception:
                logger.exception("turn could not be followed")
                with translation.override(self._language):
                    messages = [renderer.broken()]
            # No longer running for a client that has seen the final message.
            self._running = None
            await self._tell(messages)

    async def _follow(self, pending: Pending, renderer: Renderer) -> Sequence[Message]:
        """Tell the turn's frames; returns the last messages."""
        turn_id = pending.turn.turn_id
        cancelling = asyncio.create_task(self._pass_on_cancel(turn_id))
        hand_over = not pending.turn.known
        try:
            frames = turns.follow(turn_id, wanted=renderer.wanted, hand_over=hand_over)
            async with aclosing(frames):
                async for frame in frames:
                    await self._tell(renderer.frame(frame))
        finally:
            cancelling.cancel()
        result = await persistently(selectors.turn_result, turn_id=turn_id)
        with translation.override(self._language):
            return await renderer.end(result)

    async def _pass_on_cancel(self, turn_id: int) -> None:
        """Pass the client's cancel on, again and again until the turn has ended."""
        await self._cancelled.wait()
        while True:
            try:
                await turns.cancel(turn_id)
            except BusUnavailable as error:
                logger.warning("cancel not sent", why=str(error))
            await asyncio.sleep(_CANCEL_AGAIN_SECONDS)

    async def _tell(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._send is not None:
                await self._send(message)
