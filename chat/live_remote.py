"""A live turn whose engine runs in a worker: the session's end of it.

Commands travel to the worker on one stream of the bus, events come back on another. Both
are replayed, so it does not matter who is there first. Each end shows that it lives; the
one that hears nothing of the other gives the turn up.
"""

import asyncio
import secrets
import time
from collections.abc import Callable

import structlog

from chat import runtime, turns
from chat.bus.base import LOST_SECONDS, BusUnavailable, Frame, Subscription, commands_of
from chat.engine.live import OnHeard, OnReply
from chat.engine.live_events import Heard, HearingFailed, ReplyEnded, ReplyFailed
from chat.engine.order import ReplyOrder
from chat.engine.wire import decode_event, encode_order
from chat.outbox import Outbox
from voice.asr.base import SAMPLE_RATE

logger = structlog.get_logger(__name__)

# Audio goes to the worker in blocks of at least so much (80 ms).
_BLOCK = SAMPLE_RATE * 2 * 80 // 1000
# How often it is looked whether the worker lives (seconds).
_LOOK_SECONDS = 0.5
# There is no worker at all, or none has time, for so long (seconds).
_NO_WORKER_SECONDS = 3.0
_QUEUE_SECONDS = 10.0


class RemoteTurn:
    """See ``LiveTurn``. Whatever is lost on the way is told as a failure, never raised.

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
        # Numbers are of turns in the database.
        self._key = f"live:{secrets.token_hex(16)}"
        self._on_heard = on_heard
        self._on_reply = on_reply
        self._owner = (user_id, key_id)
        self._conversation_id = conversation_id
        self._loop = asyncio.get_running_loop()
        self._hearing = False
        self._run: int | None = None
        self._failed: str | None = None
        self._over = asyncio.Event()
        self._pcm = bytearray()
        self._commands = Outbox(
            runtime.bus(), commands_of(self._key), gather=0, on_lost=self._without_bus
        )
        self._following = asyncio.create_task(self._follow())

    # --- commands

    def listen(self, *, language: str) -> None:
        if self._over.is_set():
            return
        self._hearing = True
        self._commands.put("listen", language)
        self._tell_failure_soon()

    def hear(self, pcm: bytes) -> None:
        self._pcm += pcm
        if len(self._pcm) >= _BLOCK:
            self._send_audio()

    def peek(self) -> None:
        self._send_audio()
        self._commands.put("peek")

    def finish_utterance(self, *, silent: bool = False) -> None:
        self._send_audio()
        self._commands.put("finish", silent)

    def respond(self, run: int, order: ReplyOrder) -> None:
        self._run = run
        self._commands.put("respond", [run, encode_order(order)])
        self._tell_failure_soon()

    def stop(self) -> None:
        self._run = None
        self._commands.put("stop")

    def close(self) -> None:
        self._hearing, self._run = False, None
        if self._over.is_set():
            return
        self._over.set()
        # Whoever asks for a reply now is told.
        self._failed = self._failed or "closed"
        self._say_goodbye()
        self._following.cancel()

    async def settle(self) -> None:
        """Wait until it is closed, and the worker was told so as far as that is possible."""
        await self._over.wait()
        await asyncio.wait({self._following})
        await self._commands.wait_ended()

    def _send_audio(self) -> None:
        if self._pcm:
            self._commands.put("hear", bytes(self._pcm))
            self._pcm.clear()

    def _say_goodbye(self) -> None:
        self._commands.put("close", self._conversation_id())
        self._commands.end()

    # --- events

    async def _follow(self) -> None:
        """Hand the worker over what there is to do, and take what comes."""
        subscription: Subscription | None = None
        try:
            subscription = await runtime.bus().subscribe(self._key)
            await self._hand_over()
            await self._take_events(subscription)
        except BusUnavailable as error:
            logger.warning("live turn not handed over", turn=self._key, why=str(error))
            self._fail("unavailable")
        except Exception:
            logger.exception("live turn broke", turn=self._key)
            self._fail("internal")
        finally:
            if subscription is not None:
                await subscription.aclose()

    async def _hand_over(self) -> None:
        # Tasks import what runs them.
        from chat.tasks import run_live_turn

        await turns.hand_over(run_live_turn, self._key, *self._owner)

    async def _take_events(self, subscription: Subscription) -> None:
        heard = time.monotonic()
        started = False
        while True:
            frame = await subscription.get(_LOOK_SECONDS)
            silent = time.monotonic() - heard
            if frame is None and started and silent > LOST_SECONDS:
                # This loop itself may have been held up: what has come by now counts.
                frame = await subscription.get(_LOOK_SECONDS)
                if frame is None:
                    return self._fail("lost")
            if frame is not None:
                heard, started = time.monotonic(), True
                if frame.kind == "ended":
                    return self._fail("lost")
                self._take(frame)
            elif not started and await self._nobody_comes(silent):
                return self._fail("unavailable")

    async def _nobody_comes(self, waited: float) -> bool:
        if waited < _NO_WORKER_SECONDS:
            return False
        return waited > _QUEUE_SECONDS or not await runtime.bus().workers()

    def _take(self, frame: Frame) -> None:
        if frame.kind == "heard":
            event = decode_event(frame.data)
            if self._hearing:
                self._hearing = isinstance(event, Heard) and not event.final
                self._on_heard(event)
        elif frame.kind == "reply":
            run, packed = frame.data
            if run == self._run:
                event = decode_event(packed)
                if isinstance(event, ReplyEnded | ReplyFailed):
                    self._run = None
                self._on_reply(run, event)

    # --- failure

    def _without_bus(self) -> None:
        self._following.cancel()
        self._fail("unavailable")

    def _fail(self, reason: str) -> None:
        if self._over.is_set() or self._failed:
            return
        self._failed = reason
        logger.warning("live turn failed", turn=self._key, reason=reason)
        # Should its worker live after all, it need not go on.
        self._say_goodbye()
        self._tell_failure()

    def _tell_failure_soon(self) -> None:
        if self._failed:
            self._loop.call_soon(self._tell_failure)

    def _tell_failure(self) -> None:
        assert self._failed is not None
        if self._hearing:
            self._hearing = False
            self._on_heard(HearingFailed("turn", self._failed))
        if self._run is not None:
            run, self._run = self._run, None
            self._on_reply(run, ReplyFailed("turn", self._failed))
