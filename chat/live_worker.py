"""A live turn whose session is elsewhere: the worker's end of it. See ``chat.live_remote``."""

import time
from contextlib import aclosing

import structlog

from chat import metrics
from chat.bus.base import BusUnavailable, Frame, TurnBus, commands_of
from chat.engine.live_events import HearingEvent, ReplyEvent
from chat.engine.wire import decode_order, encode_event
from chat.live_local import LocalTurn
from chat.outbox import Outbox

logger = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
# Nothing was heard of the session for so long, not even that it lives: it is gone.
VANISHED_SECONDS = 6.0
# Nobody has asked anything of the turn for so long: its session has forgotten it.
FORGOTTEN_SECONDS = 300.0
# What comes right after a message waits for so long to be sent together.
_GATHER_SECONDS = 0.025


class LiveService:
    """Does for one live turn what its session says, until it is closed.

    Args:
        bus: Between the two.
        key: The turn's.
        worker: The name of the worker that claimed it.
        user_id: Who speaks.
        key_id: The API key it is asked with; None for a session.
    """

    def __init__(
        self, bus: TurnBus, key: str, *, worker: str, user_id: int, key_id: int | None
    ) -> None:
        self._bus = bus
        self._key = key
        self._worker = worker
        self._conversation_id: int | None = None
        self._open = True
        self._seen: set[type[ReplyEvent]] = set()
        self._turn = LocalTurn(
            on_heard=self._on_heard,
            on_reply=self._on_reply,
            user_id=user_id,
            key_id=key_id,
            conversation_id=lambda: self._conversation_id,
        )
        self._events = Outbox(bus, key, gather=_GATHER_SECONDS, on_lost=self._without_bus)

    async def run(self) -> None:
        """Serve until the session closes the turn, or is gone."""
        self._events.put("started", self._worker)
        try:
            with metrics.running():
                await self._follow()
        except BusUnavailable as error:
            logger.warning("live turn dropped", turn=self._key, why=str(error))
        finally:
            if self._open:
                self._events.put("ended")
            self._events.end()
            self._turn.close()
            await self._turn.settle()
            await self._events.wait_ended()
            await self._bus.discard(self._key, commands_of(self._key))

    async def _follow(self) -> None:
        async with aclosing(await self._bus.subscribe(commands_of(self._key))) as commands:
            heard = asked = time.monotonic()
            while True:
                frame = await commands.get(_LOOK_SECONDS)
                now = time.monotonic()
                if frame is not None and self._open:
                    heard = now
                    if frame.kind != "beat":
                        asked = now
                        self._carry_out(frame)
                if not self._open:
                    return
                if now - heard > VANISHED_SECONDS or now - asked > FORGOTTEN_SECONDS:
                    logger.warning("nobody asks for a live turn any more", turn=self._key)
                    return

    def _carry_out(self, command: Frame) -> None:
        turn, data = self._turn, command.data
        match command.kind:
            case "listen":
                turn.listen(language=data)
            case "hear":
                turn.hear(data)
            case "peek":
                turn.peek()
            case "finish":
                turn.finish_utterance(silent=data)
            case "respond":
                run, order = data
                self._seen.clear()
                turn.respond(run, decode_order(order))
            case "stop":
                turn.stop()
            case "close":
                self._conversation_id = data
                self._open = False

    def _without_bus(self) -> None:
        """Nobody can hear it any more."""
        self._open = False
        self._turn.close()

    def _on_heard(self, event: HearingEvent) -> None:
        self._events.put("heard", encode_event(event))

    def _on_reply(self, run: int, event: ReplyEvent) -> None:
        # The first of each kind, so also what ends the reply, goes out at once.
        first = type(event) not in self._seen
        self._seen.add(type(event))
        self._events.put("reply", [run, encode_event(event)], urgent=first)
