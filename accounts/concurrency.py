"""How many requests a user may have under way at once, in each process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from django.conf import settings


class TooManyAtOnce(Exception):
    """As many requests of this user are under way as may be."""


_running: Counter[int] = Counter()
_lock = Lock()


@contextmanager
def place(user_id: int) -> Iterator[None]:
    """Count a request of a user for as long as the block runs.

    ``USER_CONCURRENCY`` is the bound; 0 is none, and so is RATE_LIMITS off.

    Raises:
        TooManyAtOnce: There is no place for it.
    """
    most = settings.USER_CONCURRENCY if settings.RATE_LIMITS else 0
    with _lock:
        if most and _running[user_id] >= most:
            raise TooManyAtOnce(f"{most} requests are under way")
        _running[user_id] += 1
    try:
        yield
    finally:
        with _lock:
            _running[user_id] -= 1
            if not _running[user_id]:
                del _running[user_id]
