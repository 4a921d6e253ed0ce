"""A live turn whose engine runs in this event loop.

Its use is accounted for, and what failed is logged.
"""

import asyncio
from collections.abc import Callable

import structlog

from accounts.database import in_database_thread
from chat import providers, services
from chat.engine.live import OnHeard, OnReply
from chat.engine.live_events import HearingEvent, HearingFailed, ReplyEvent, ReplyFailed
from chat.engine.live_run import LiveRun
from voice.attempts import collected

logger = structlog.get_logger(__name__)


class LocalTurn(LiveRun):
    """See ``LiveTurn``; whoever opens it also awaits ``settle``.

    Args:
        on_heard: See ``LiveTurn``.
        on_reply: The same.
        user_id: Who speaks.
        key_id: The API key it is asked with; None for a session.
        conversation_id: Asked at the end: the conversation it belongs to, if one is stored.
    """

    def __init__(
        self,
        *,
        on_heard: OnHeard,
        on_reply: OnReply,
        user_id: int,
        key_id: int | None,
        conversation_id: Callable[[], int | None],
    ) -> None:
        def heard(event: HearingEvent) -> None:
            if isinstance(event, HearingFailed):
                _log("hearing failed", event)
            on_heard(event)

        def replied(run: int, event: ReplyEvent) -> None:
            if isinstance(event, ReplyFailed):
                _log("reply failed", event)
            on_reply(run, event)

        with collected() as self._attempts:
            super().__init__(providers.current(), on_heard=heard, on_reply=replied)
        self._user_id = user_id
        self._key_id = key_id
        self._conversation_id = conversation_id
        self._over = asyncio.Event()

    def close(self) -> None:
        super().close()
        self._over.set()

    async def settle(self) -> None:
        """Wait until it is closed, and write what its providers were asked into the ledger."""
        await self._over.wait()
        await self.wait_closed()
        try:
            await in_database_thread(
                services.usage_store,
                user_id=self._user_id,
                conversation_id=self._conversation_id(),
                attempts=self._attempts,
                key_id=self._key_id,
            )
        except Exception:
            logger.exception("usage could not be stored")


def _log(what: str, event: HearingFailed | ReplyFailed) -> None:
    """The detail goes no further than this: a session is told stage and reason."""
    logger.warning(what, stage=event.stage, reason=event.reason, why=event.detail)
