"""Wait until the database and Redis answer: in a container they start at the same time as we."""

import time
from argparse import ArgumentParser
from collections.abc import Callable

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from redis import Redis
from redis.exceptions import RedisError

# One attempt to connect may take so long (seconds), and the next comes so much later.
ATTEMPT_SECONDS = 2
PAUSE_SECONDS = 0.5


class NotReady(Exception):
    """A service did not answer in time. Says which, where, and what was the matter."""


def add_wait_argument(parser: ArgumentParser) -> None:
    """``--wait SECONDS``, for commands that begin with ``wait_as_told``."""
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="first wait so long until the database and Redis answer; 0 (default) does not look",
    )


def wait_as_told(command: BaseCommand, seconds: float) -> None:
    """Wait, with a line on the command's output. Raises CommandError when the time is over."""
    if seconds <= 0:
        return

    def say(line: str) -> None:
        command.stdout.write(line)
        command.stdout.flush()

    try:
        wait_for_services(seconds, say)
    except NotReady as error:
        raise CommandError(f"{error} (waited {seconds:g} s)") from error


def wait_for_services(seconds: float, say: Callable[[str], None]) -> None:
    """Return when the database takes connections and Redis, where there is one, answers.

    Args:
        seconds: How long to wait in all; each is asked at least once.
        say: Gets one line for each service that has to be waited for.

    Raises:
        NotReady: The time is over.
    """
    until = time.monotonic() + seconds
    _wait(f"database {_database_address()}", _ask_database, until, say)
    if settings.REDIS_URL:
        _wait(f"Redis {_redis_address()}", _ask_redis, until, say)


def _wait(name: str, ask: Callable[[], None], until: float, say: Callable[[str], None]) -> None:
    said = False
    while True:
        try:
            ask()
        except (psycopg.Error, DatabaseError, RedisError) as error:
            why = " ".join(str(error).split())
            if time.monotonic() >= until:
                raise NotReady(f"{name} cannot be reached: {why}") from error
            if not said:
                say(f"==> waiting for {name}: {why}")
                said = True
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _ask_database() -> None:
    """A connection beside the pool: the pool would go on trying, and hide the reason."""
    if connection.vendor != "postgresql":
        connection.ensure_connection()
        return
    parameters = {**connection.get_connection_params(), "connect_timeout": ATTEMPT_SECONDS}
    psycopg.connect(**parameters).close()


def _ask_redis() -> None:
    limits = {"socket_connect_timeout": ATTEMPT_SECONDS, "socket_timeout": ATTEMPT_SECONDS}
    try:
        client = Redis.from_url(settings.REDIS_URL, **limits)
    except ValueError as error:
        raise ImproperlyConfigured(f"REDIS_URL: {error}") from error
    with client:
        client.ping()


def _database_address() -> str:
    """Host, port and name; never the password."""
    given = connection.settings_dict
    host = f"{given['HOST']}:{given['PORT'] or 5432}/" if given["HOST"] else ""
    return f"{host}{given['NAME']}"


def _redis_address() -> str:
    return settings.REDIS_URL.rpartition("@")[2].removeprefix("redis://")
