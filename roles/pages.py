"""Pages of roles, kept in this process until a role is written.

Everybody reads the same lists far more often than somebody writes: making the page anew was
half of a request.
"""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet

Item = dict[str, Any]
Rows = QuerySet[Any, Item]

# How long a page may be wrong that a process without a shared cache has changed (seconds).
KEPT_SECONDS = 15.0
# Bounds the memory: a role in a list has 2 kB as a rule, 80 kB at most.
_ITEMS_KEPT = 1_000
_VERSION = "roles:version"


@dataclass(frozen=True, slots=True)
class _Kept:
    version: str
    until: float
    value: Any
    items: int


_kept: OrderedDict[tuple[Any, ...], _Kept] = OrderedDict()
_items = 0
_lock = Lock()


class Listing:
    """Rows in pages, for the paginator: ``counted`` and slices.

    Args:
        key: Names the listing among all others; None for one that is not kept.
        rows: Makes its queryset; asked only for what is not kept.
        render: Makes an item of a row. The items are shared: nobody may change them.
    """

    def __init__(
        self, key: tuple[Any, ...] | None, rows: Callable[[], Rows], render: Callable[[Item], Item]
    ) -> None:
        self._key = key
        self._rows = rows
        self._render = render
        # Read first: what is then read from the database is at least as new.
        self._version = str(cache.get(_VERSION) or cache.get_or_set(_VERSION, _new, timeout=None))

    @property
    def counted(self) -> int:
        """How many rows there are."""
        count: int = self._get("count", lambda: self._rows().count())
        return count

    def __getitem__(self, part: slice) -> list[Item]:
        items: list[Item] = self._get(
            (part.start, part.stop), lambda: [self._render(row) for row in self._rows()[part]]
        )
        return items

    def _get(self, what: Any, make: Callable[[], Any]) -> Any:
        if self._key is None:
            return make()
        key = (*self._key, what)
        now = time.monotonic()
        with _lock:
            kept = _kept.get(key)
        if kept is not None and kept.version == self._version and kept.until > now:
            return kept.value
        value = make()
        items = len(value) if isinstance(value, list) else 1
        _keep(key, _Kept(self._version, now + KEPT_SECONDS, value, items))
        return value


def _keep(key: tuple[Any, ...], page: _Kept) -> None:
    global _items
    with _lock:
        if old := _kept.pop(key, None):
            _items -= old.items
        _kept[key] = page
        _items += page.items
        while _items > _ITEMS_KEPT:
            _items -= _kept.popitem(last=False)[1].items


def _new() -> str:
    return uuid.uuid4().hex


def roles_changed() -> None:
    """Forget all pages, in every process that shares the cache: a role was written."""
    cache.set(_VERSION, _new(), timeout=None)
