"""What a session says, as it is stored: one thing after the other, beside the session."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from accounts.database import PATIENCE, in_database_thread, persistently_until
from chat import live_services
from chat.services import ConversationNotFound
from realtime.effects import ForgetItem, StoreReply, StoreTranscript, StoreUtterance

logger = structlog.get_logger(__name__)

Entry = StoreUtterance | StoreTranscript | StoreReply | ForgetItem


@dataclass(frozen=True, slots=True)
class Conversation:
    """Whose record it is.

    Attributes:
        user_id: The user's.
        role_id: With whom.
        public_id: ``conv_…``.
        pk: None until somebody has spoken.
    """

    user_id: int
    role_id: int
    public_id: str
    pk: int | None


class Record:
    """Stores what was said, in order, in the conversation that the chat shows too.

    What was said aloud cannot be said again: while the database is away it is tried for some
    seconds from when it was said, and what comes behind it waits. Who has typed is told as
    soon as all before it is stored or given up.

    A new conversation begins with the first words. One that is deleted meanwhile begins
    anew with the next.

    Args:
        conversation: Whose record it is; None where nothing is kept.
        on_failed: Called with an item that could not be stored, or not all that is known
            of it.
    """

    def __init__(
        self, conversation: Conversation | None, *, on_failed: Callable[[str], None]
    ) -> None:
        self._conversation = conversation
        self._pk = conversation.pk if conversation else None
        self._on_failed = on_failed
        self._messages: dict[str, int] = {}
        self._waiting: deque[tuple[Entry, float, asyncio.Future[None]]] = deque()
        self._working: asyncio.Task[None] | None = None
        self._utterance: asyncio.Future[None] | None = None

    @property
    def conversation_id(self) -> int | None:
        """The conversation's, once it is stored."""
        return self._pk

    def keep(self, entry: Entry) -> "asyncio.Future[None]":
        """Store something behind all that came before; done when it is, well or badly."""
        done = asyncio.get_running_loop().create_future()
        if self._conversation is None:
            done.set_result(None)
            return done
        # Counted from here, an outage tries the patience of all that wait just once.
        self._waiting.append((entry, time.monotonic() + PATIENCE, done))
        if isinstance(entry, StoreUtterance):
            self._utterance = done
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return done

    async def utterances(self) -> None:
        """Wait until every utterance so far is stored."""
        if self._utterance is not None and not self._utterance.done():
            await asyncio.wait({self._utterance})

    async def drain(self) -> None:
        """Wait until everything so far is stored."""
        if self._working is not None:
            await asyncio.wait({self._working})

    async def _work(self) -> None:
        while self._waiting:
            entry, until, done = self._waiting.popleft()
            try:
                if _is_typed(entry):
                    await in_database_thread(self._store, entry)
                else:
                    await persistently_until(until, self._store, entry)
            except Exception:
                logger.exception("what was said could not be stored", kind=type(entry).__name__)
                self._on_failed(entry.item_id)
            finally:
                done.set_result(None)

    # --- in the thread of the database, one at a time

    def _store(self, entry: Entry) -> None:
        try:
            self._try(entry)
        except ConversationNotFound:
            self._messages.clear()
            if self._pk is None:
                raise
            self._pk = None
            if isinstance(entry, StoreUtterance | StoreReply):
                self._try(entry)

    def _try(self, entry: Entry) -> None:
        known = self._messages.get(entry.item_id)
        match entry:
            case StoreUtterance(item_id, text, pcm):
                self._messages[item_id] = live_services.utterance_store(
                    conversation_id=self._opened(),
                    user_id=self._whose.user_id,
                    text=text,
                    pcm=pcm,
                )
            case StoreTranscript(item_id, text) if known is not None:
                live_services.transcript_settle(message_id=known, text=text)
                if not text:
                    del self._messages[item_id]
            case StoreReply(item_id, text, full_text, spoken) if known is None:
                self._messages[item_id] = live_services.reply_store(
                    conversation_id=self._opened(), text=text, full_text=full_text, spoken=spoken
                )
            case StoreReply(_, text, full_text):
                assert known is not None
                live_services.reply_update(message_id=known, text=text, full_text=full_text)
            case ForgetItem(item_id) if known is not None:
                live_services.message_forget(message_id=known)
                del self._messages[item_id]

    @property
    def _whose(self) -> Conversation:
        assert self._conversation is not None
        return self._conversation

    def _opened(self) -> int:
        if self._pk is None:
            whose = self._whose
            self._pk = live_services.conversation_open(
                user_id=whose.user_id, role_id=whose.role_id, public_id=whose.public_id
            )
        return self._pk


def _is_typed(entry: Entry) -> bool:
    return isinstance(entry, StoreUtterance) and entry.pcm is None
