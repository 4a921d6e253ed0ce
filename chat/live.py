"""Live turns: where their engine runs is the operator's choice (REALTIME_RUNNER)."""

import asyncio
from collections.abc import Callable

from django.conf import settings

from chat import providers
from chat.engine.live import LiveTurn, OnHeard, OnReply
from chat.live_local import LocalTurn
from chat.live_remote import RemoteTurn

# How long turns that were closed may take to end (seconds).
_CLOSE_SECONDS = 5.0

# Each with the task that settles it once it is closed.
_open: dict[LocalTurn | RemoteTurn, asyncio.Task[None]] = {}


def open_live_turn(
    *,
    on_heard: OnHeard,
    on_reply: OnReply,
    user_id: int,
    key_id: int | None,
    conversation_id: Callable[[], int | None],
) -> LiveTurn:
    """A new live turn: in this event loop, or handed over to a worker at once.

    Open it when speech begins: the hand-over hides under the user's words.

    Args:
        on_heard: See ``LiveTurn``.
        on_reply: The same.
        user_id: Who speaks: whose ledger is charged.
        key_id: The API key it is asked with; None for a session.
        conversation_id: Asked when the turn is closed: the conversation it belongs to, if
            one is stored by then.

    Raises:
        ValueError: A provider's setting is wrong.
    """
    make = LocalTurn if settings.REALTIME_RUNNER == "inline" else RemoteTurn
    turn = make(
        on_heard=on_heard,
        on_reply=on_reply,
        user_id=user_id,
        key_id=key_id,
        conversation_id=conversation_id,
    )
    settling = asyncio.create_task(turn.settle())
    _open[turn] = settling
    settling.add_done_callback(lambda _: _open.pop(turn))
    return turn


async def streams() -> bool:
    """Whether the recogniser understands while one speaks. Raises ValueError as above."""
    recognizer = providers.current().recognizer
    return recognizer is not None and recognizer.capabilities.streaming


async def aclose_all() -> None:
    """Close the live turns of this process, and let them be accounted for."""
    if not _open:
        return
    settling = set(_open.values())
    for turn in list(_open):
        turn.close()
    await asyncio.wait(settling, timeout=_CLOSE_SECONDS)
