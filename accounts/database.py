"""Database work for coroutines: in a few threads of its own.

Outside requests Django runs all async ORM calls in one thread, where a hundred turns
would wait for each other.
"""

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from accounts.prepared import Prepared

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# What must outlive a restart of the database is tried for so long (seconds), and the waits
# between its tries grow from the first to the longest.
PATIENCE = 16.0
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 4.0

# A connection that was not used for so long is asked whether it still lives (seconds).
_TRUSTED = 1.0


class _Thread(threading.local):
    """What each of the threads knows of its connection."""

    used = 0.0


_thread = _Thread()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """SQLite has one writer: a second thread would wait for it by sleeping, up to 100 ms.

    The threads keep their connections, so they leave half of a pool to the requests.
    """
    return ThreadPoolExecutor(max_workers=_thread_count(), thread_name_prefix="database")


def _thread_count() -> int:
    options = settings.DATABASES["default"].get("OPTIONS", {})
    return min(6, options["pool"]["max_size"] // 2) if "pool" in options else 1


async def in_database_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that uses the ORM, in a thread that keeps its connection.

    Context variables (request and turn ids of the log) are those of the caller. If the
    caller is cancelled the function still runs to its end, so that a write is whole.
    A function that finds the kept connection dead is run once more on a new one, unless none
    is to be had. Only where the connection is lost while the database acknowledges a commit
    is a write made twice.
    """
    context = copy_context()

    def work() -> T:
        if time.monotonic() - _thread.used > _TRUSTED:
            connection.health_check_done = False  # type: ignore[attr-defined]
        kept = connection.connection
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            if kept is None or isinstance(error.__cause__, PoolTimeout):
                raise  # there is no other connection to be had
            if connection.connection is kept and connection.is_usable():
                raise
            logger.warning("connection to the database lost: %s", error)
            connection.close()
            return function(*args, **kwargs)
        finally:
            _thread.used = time.monotonic()
            if connection.errors_occurred:
                connection.close()

    loop = asyncio.get_running_loop()
    working = loop.run_in_executor(_threads(), lambda: context.run(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_note_failure)
        raise


def _note_failure(working: asyncio.Future[Any]) -> None:
    """What a function raises for whom nobody waits any more."""
    if not working.cancelled() and (error := working.exception()):
        logger.info("failed after its caller had gone: %r", error)


async def warm() -> None:
    """Open the threads' connections and run the prepared queries before somebody waits.

    Raises OperationalError where the database is away.
    """
    together = threading.Barrier(_thread_count())

    def connect() -> None:
        together.wait(10)  # else the first thread would do it all
        Prepared.warm_all()

    await asyncio.gather(*(in_database_thread(connect) for _ in range(together.parties)))


async def persistently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``in_database_thread`` for what must outlive a restart of the database.

    See ``persistently_until``: it is tried for PATIENCE seconds from now.
    """
    until = time.monotonic() + PATIENCE
    return await persistently_until(until, function, *args, **kwargs)


async def persistently_until(
    until: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """``in_database_thread``, and once more and again while the database is away.

    No try but the first begins after ``until`` (seconds of ``time.monotonic``). A try may
    itself wait for a connection, as long as the pool has it wait. The function must be safe
    to run twice. Raises what the last try raised.
    """
    wait = _FIRST_WAIT
    while True:
        try:
            return await in_database_thread(function, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            left = until - time.monotonic()
            if left <= 0:
                raise
            logger.warning("database away: %s", error)
        await asyncio.sleep(min(wait, left))
        wait = min(wait * 2, _LONGEST_WAIT)
