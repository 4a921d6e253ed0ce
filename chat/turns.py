"""Handing over, following, cancelling and recovering turns, from the side of the sockets."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import structlog
from celery import Task, current_app
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from accounts import database
from accounts.database import in_database_thread
from chat import embedded, runtime, selectors, services
from chat.bus.base import BusUnavailable, Frame, Kind, Subscription
from chat.models import ENDED, Turn, TurnState
from chat.selectors import TurnResult

logger = structlog.get_logger(__name__)

# Look after a turn that has been silent for so long (seconds).
LOOK_SECONDS = 1.5
# Hand over again what nobody has claimed for so long; claims make that harmless.
REDISPATCH_SECONDS = 8.0
# Nobody came for it, or nothing was heard of it for so long: it failed.
QUEUE_SECONDS = 90.0
NO_WORKER_SECONDS = 12.0
SILENCE_SECONDS = 240.0

# Sending to a broker blocks; it must not hold up the threads of the database.
_dispatchers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="dispatch")
_inline: set[asyncio.Task[None]] = set()


async def warm() -> None:
    """Connect to database and broker before the first message does. For scaled mode."""
    await database.warm()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(_dispatchers, _connect_to_broker)


def _connect_to_broker() -> None:
    with current_app.producer_or_acquire() as producer:
        producer.connection.ensure_connection(max_retries=1)
        _ = producer.channel  # opened when first looked at


async def dispatch(turn_id: int) -> None:
    """Hand a queued turn to a worker. Raises BusUnavailable where the broker is away."""
    if settings.TURN_RUNNER == "inline":
        task = asyncio.create_task(runtime.run_turn(turn_id))
        _inline.add(task)
        task.add_done_callback(_inline.discard)
        return
    # Tasks import this module.
    from chat.tasks import run_turn

    await hand_over(run_turn, turn_id)


async def hand_over(task: "Task[..., Any]", *arguments: Any) -> None:
    """Queue a task of Celery's. Raises BusUnavailable where the broker is away."""
    embedded.ensure_started()
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(_dispatchers, task.delay, *arguments)
    except (BrokerError, OSError) as error:
        raise BusUnavailable(str(error)) from error


async def follow(
    turn_id: int, *, wanted: Collection[Kind], hand_over: bool
) -> AsyncGenerator[Frame, None]:
    """The frames of a turn, until it has ended.

    How it ended stands in the database by then: see ``selectors.turn_result``. A turn
    whose worker was lost is handed over once more if none of its wanted frames were
    yielded yet; else it fails.

    Args:
        turn_id: A stored turn.
        wanted: The kinds of frames that are yielded.
        hand_over: The turn is new: dispatch it once everything is ready to follow it.
    """
    watch = _Watch(turn_id)
    subscription: Subscription | None = None
    try:
        subscription = await runtime.bus().subscribe(turn_id)
        if hand_over:
            await dispatch(turn_id)
    except BusUnavailable as error:
        logger.warning("turn not handed over", turn_id=turn_id, why=str(error))
        if hand_over:
            await in_database_thread(
                services.turn_fail, turn_id=turn_id, stage="turn", reason="unavailable"
            )
            if subscription is not None:
                await subscription.aclose()
            return
    try:
        while True:
            if subscription is None:
                await asyncio.sleep(LOOK_SECONDS)
                frame = None
            else:
                frame = await subscription.get(LOOK_SECONDS)
            if frame is None:
                if await watch.ended():
                    return
            elif frame.kind == "ended":
                return
            else:
                watch.heard = time.monotonic()
                if frame.kind in wanted:
                    watch.yielded = True
                    yield frame
    finally:
        if subscription is not None:
            await subscription.aclose()


class _Watch:
    """Looks after one silent turn."""

    def __init__(self, turn_id: int) -> None:
        self._turn_id = turn_id
        self._begun = self._dispatched = self.heard = time.monotonic()
        self.yielded = False
        self._misses = 0

    async def ended(self) -> bool:
        """Whether the turn has ended by now; sees to it that it does some day."""
        try:
            result = await in_database_thread(selectors.turn_result, turn_id=self._turn_id)
        except Turn.DoesNotExist:
            return True
        except DatabaseError as error:
            logger.warning("turn cannot be looked up", turn_id=self._turn_id, why=str(error))
            return False
        if result.state in ENDED:
            return True
        try:
            if result.state == TurnState.QUEUED:
                await self._queued()
            else:
                await self._running(result)
        except BusUnavailable:
            # Nothing can be said of the worker now; time alone decides.
            self._misses = 0
        if time.monotonic() - self.heard > SILENCE_SECONDS:
            await self._fail("timeout")
        return False

    async def _queued(self) -> None:
        now = time.monotonic()
        waited = now - self._begun
        if waited > QUEUE_SECONDS:
            await self._fail("timeout")
        elif waited > NO_WORKER_SECONDS and not await runtime.bus().workers():
            await self._fail("unavailable")
        elif now - self._dispatched > REDISPATCH_SECONDS:
            self._dispatched = now
            await dispatch(self._turn_id)

    async def _running(self, result: TurnResult) -> None:
        if await runtime.bus().is_alive(result.worker):
            self._misses = 0
            return
        # Once may be a Redis that has just come back without its beats.
        self._misses += 1
        if self._misses < 2:
            return
        logger.warning("worker lost", turn_id=self._turn_id, worker=result.worker)
        again = not self.yielded and await in_database_thread(
            services.turn_requeue, turn_id=self._turn_id, attempt=result.attempt
        )
        if again:
            self._misses = 0
            self._begun = self._dispatched = time.monotonic()
            await dispatch(self._turn_id)
        else:
            await self._fail("lost", attempt=result.attempt)

    async def _fail(self, reason: str, attempt: int | None = None) -> None:
        await in_database_thread(
            services.turn_fail,
            turn_id=self._turn_id,
            stage="turn",
            reason=reason,
            attempt=attempt,
        )


async def cancel(turn_id: int) -> None:
    """Stop a turn, wherever it is; its end comes to its followers as usual.

    A request that is lost on its way is not repeated here: call again while the turn
    has not ended.
    """
    if await in_database_thread(services.turn_cancel_queued, turn_id=turn_id):
        frame = Frame(attempt=1, seq=0, kind="ended")
        await runtime.bus().publish(turn_id, [frame])
    else:
        await runtime.bus().cancel(turn_id)


async def sweep(*, all_lost: bool = False) -> int:
    """Look after turns that nobody follows any more; returns how many were ended.

    Args:
        all_lost: At the start of an embedded process: whatever is open was left behind
            by the process before. What was queued is handed over again.
    """
    now = timezone.now()
    horizon = now if all_lost else now - timedelta(seconds=30)
    open_turns = await in_database_thread(selectors.open_turns, before=horizon)
    ended = 0
    for turn in open_turns:
        try:
            if turn.state == TurnState.QUEUED:
                old = now - turn.created_at > timedelta(seconds=QUEUE_SECONDS * 2)
                if not old:
                    await dispatch(turn.pk)
                    continue
            elif not all_lost and await runtime.bus().is_alive(turn.worker):
                continue
        except BusUnavailable:
            continue
        ended += await in_database_thread(
            services.turn_fail,
            turn_id=turn.pk,
            stage="turn",
            reason="lost",
            attempt=turn.attempt,
        )
    return ended
