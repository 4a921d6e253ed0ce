"""How much a user, and each key of theirs, may use.

Two bounds hold at once. The user's is the operator's: a number in the user's row, else the
``USER_…`` setting; 0 is no limit. The key's is its owner's: it bounds what that key uses, and
an empty one (or 0) adds nothing to the user's. So a key can be given less than its owner
has, never more.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from threading import Lock

from django.conf import settings
from django.core.cache import cache

from accounts import selectors
from accounts.credentials import Credential
from accounts.models import Limits, User

# The units of the ledger that each budget counts; a budget's limit is ``monthly_<budget>``.
BUDGETS: Mapping[str, tuple[str, ...]] = {
    "characters": ("characters",),
    "seconds": ("seconds",),
    "tokens": ("prompt_tokens", "completion_tokens"),
}
_BUDGET_OF = {unit: budget for budget, units in BUDGETS.items() for unit in units}
# A month's sum is asked for again after so long; other processes add to it meanwhile.
SUM_SECONDS = 60.0
_SUMS_KEPT = 8192
_WINDOW = 60  # seconds

Whose = tuple[int, int | None]


class RateExceeded(Exception):
    """Too many requests within this minute.

    Attributes:
        retry_after: Whole seconds until the next minute, 1 at least.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests; again in {retry_after} s")
        self.retry_after = retry_after


class QuotaSpent(Exception):
    """Nothing is left of a budget of this month (UTC).

    Attributes:
        budget: One of BUDGETS.
        limit: How much it was.
        retry_after: Whole seconds until the next month.
    """

    def __init__(self, budget: str, limit: int, retry_after: int) -> None:
        super().__init__(f"the month's {limit} {budget} are spent")
        self.budget = budget
        self.limit = limit
        self.retry_after = retry_after


def by_budget(amounts: Mapping[str, float]) -> dict[str, float]:
    """What amounts by unit are of each budget."""
    return {
        budget: round(sum(amounts.get(unit, 0.0) for unit in units), 3)
        for budget, units in BUDGETS.items()
    }


class _MonthSums:
    """What was used this month by whom, for SUM_SECONDS; this process's own use is in it."""

    def __init__(self) -> None:
        self._sums: OrderedDict[Whose, tuple[float, date, dict[str, float]]] = OrderedDict()
        self._lock = Lock()

    def get(self, user_id: int, key_id: int | None) -> dict[str, float]:
        """By budget. Asks the database where nothing fresh is known."""
        month = selectors.today().replace(day=1)
        with self._lock:
            kept = self._sums.get((user_id, key_id))
            if kept and kept[0] > time.monotonic() and kept[1] == month:
                return dict(kept[2])
        sums = by_budget(selectors.spent_by_unit(user_id=user_id, key_id=key_id, since=month))
        with self._lock:
            self._sums[user_id, key_id] = (time.monotonic() + SUM_SECONDS, month, sums)
            self._sums.move_to_end((user_id, key_id))
            if len(self._sums) > _SUMS_KEPT:
                self._sums.popitem(last=False)
        return dict(sums)

    def add(self, whose: Whose, unit: str, amount: float) -> None:
        """Something was written.

        Where the sum was read at that very moment it may be counted twice, or not at all,
        until the sum is read again.
        """
        budget = _BUDGET_OF.get(unit)
        with self._lock:
            kept = self._sums.get(whose)
            if kept and budget:
                kept[2][budget] += amount

    def clear(self) -> None:
        with self._lock:
            self._sums.clear()


month_sums = _MonthSums()


def check(credential: Credential, budgets: Collection[str] = tuple(BUDGETS)) -> None:
    """Count a request and let it pass; for a thread of the database.

    Args:
        credential: Who asks.
        budgets: Those of BUDGETS that this request would use.

    Raises:
        RateExceeded: Too many requests this minute. Not with RATE_LIMITS off.
        QuotaSpent: Nothing is left of one of the budgets.
    """
    if settings.RATE_LIMITS:
        count_request(credential)
    check_budgets(credential, budgets)


def count_request(credential: Credential) -> None:
    """Count a request against the limits of its user and key; for a thread of the database.

    Raises:
        RateExceeded: It is one too many in this minute.
    """
    user, key = credential.user, credential.key
    own = user.requests_per_minute
    _count_request(f"user:{user.pk}", settings.USER_REQUESTS_PER_MINUTE if own is None else own)
    if key is not None:
        _count_request(f"key:{key.pk}", key.requests_per_minute or 0)


def check_budgets(credential: Credential, budgets: Collection[str]) -> None:
    """Let pass what would use these budgets; for a thread of the database.

    What a request will use is not known before it: the one that goes over a limit passes,
    the next is refused.

    Raises:
        QuotaSpent: Nothing is left of one of them.
    """
    user, key = credential.user, credential.key
    for budget in budgets:
        _check_budget(budget, limit_of_user(user, budget), user.pk, None)
        if key is not None:
            _check_budget(budget, _own_limit(key, budget) or 0, user.pk, key.pk)


def is_bounded(credential: Credential, budget: str) -> bool:
    """Whether there is a limit to what may be used of a budget."""
    own = _own_limit(credential.key, budget) if credential.key else 0
    return bool(limit_of_user(credential.user, budget) or own)


def left_of(credential: Credential, budget: str) -> tuple[int, float] | None:
    """The limit of a budget and what is left of it, where least is; None for no limit.

    For a thread of the database.
    """
    user, key = credential.user, credential.key
    limits: list[tuple[int, int | None]] = [(limit_of_user(user, budget), None)]
    if key is not None:
        limits.append((_own_limit(key, budget) or 0, key.pk))
    left = [
        (limit, max(0.0, limit - month_sums.get(user.pk, key_id)[budget]))
        for limit, key_id in limits
        if limit
    ]
    return min(left, key=lambda each: each[1], default=None)


def limit_of_user(user: User, budget: str) -> int:
    """What a user may use of a budget each month; 0 is no limit."""
    own = _own_limit(user, budget)
    default: int = getattr(settings, f"USER_MONTHLY_{budget.upper()}")
    return default if own is None else own


def month_of(user: User) -> dict[str, dict[str, float | None]]:
    """What is spent of each budget this month, and its limit; None is no limit."""
    spent = month_sums.get(user.pk, None)
    return {
        budget: {"spent": spent[budget], "limit": limit_of_user(user, budget) or None}
        for budget in BUDGETS
    }


def _own_limit(whose: Limits, budget: str) -> int | None:
    limit: int | None = getattr(whose, f"monthly_{budget}")
    return limit


def _check_budget(budget: str, limit: int, user_id: int, key_id: int | None) -> None:
    if limit and month_sums.get(user_id, key_id)[budget] >= limit:
        raise QuotaSpent(budget, limit, seconds_to_next_month())


def _count_request(whose: str, limit: int) -> None:
    """Raises RateExceeded where this is one too many; 0 is no limit, and is not counted."""
    if not limit:
        return
    now = time.time()
    name = f"requests:{whose}:{int(now // _WINDOW)}"
    cache.add(name, 0, timeout=2 * _WINDOW)
    if cache.incr(name) > limit:
        raise RateExceeded(max(1, math.ceil(_WINDOW - now % _WINDOW)))


def seconds_to_next_month() -> int:
    """Whole seconds until budgets begin anew."""
    now = datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return math.ceil((following - now).total_seconds())
