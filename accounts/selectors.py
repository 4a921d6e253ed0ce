"""Every read of keys and of the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet, Sum

from accounts.models import ApiKey, UsageDay, User

# Columns of the ledger by which its sums can be asked for.
USAGE_GROUPS: Mapping[str, str] = {
    "day": "day",
    "provider": "provider",
    "role": "role_id",
    "key": "key_id",
}
USAGE_ITEMS = 1000


def today() -> date:
    """The day that the ledger writes now."""
    return datetime.now(UTC).date()


def keys_of(*, user: User) -> QuerySet[ApiKey]:
    """A user's keys that are not revoked, the newest first; expired ones among them."""
    return ApiKey.objects.filter(user=user, revoked_at=None)


def key_of(*, user: User, key_id: int) -> ApiKey | None:
    """A user's own key that is not revoked."""
    return keys_of(user=user).filter(pk=key_id).first()


def spent_by_unit(*, user_id: int, key_id: int | None = None, since: date) -> dict[str, float]:
    """What a user (or one key of theirs) has used since a day, by unit; 0 is left out."""
    rows = UsageDay.objects.filter(user_id=user_id, day__gte=since)
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    return dict(rows.order_by().values_list("unit").annotate(Sum("amount")))


def spent_by_key(*, user: User, since: date) -> dict[int, dict[str, float]]:
    """The same for each of a user's keys."""
    rows = UsageDay.objects.filter(user=user, day__gte=since, key__isnull=False).order_by()
    found: dict[int, dict[str, float]] = {}
    for key_id, unit, amount in rows.values_list("key_id", "unit").annotate(Sum("amount")):
        found.setdefault(key_id, {})[unit] = amount
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of the ledger.

    Attributes:
        items: By what was asked for: its value under its column's name, ``amounts`` by unit
            and ``cost``.
        has_more: Items beyond USAGE_ITEMS were left out.
        amounts: Of all items, by unit.
        cost: Of all items; None where the operator has named no prices.
    """

    items: list[dict[str, Any]]
    has_more: bool
    amounts: dict[str, float]
    cost: float | None


def usage_of(*, user: User, first: date, last: date, group: str) -> Usage:
    """What a user has used, both days included.

    Args:
        user: Whose ledger.
        first: Day of UTC.
        last: Day of UTC.
        group: One of USAGE_GROUPS. Days and providers ascend; of roles and keys the newest
            comes first, and last what was used without one.
    """
    column = USAGE_GROUPS[group]
    rows = UsageDay.objects.filter(user=user, day__range=(first, last)).order_by()
    found: dict[Any, list[tuple[str, str, float]]] = {}
    for row in rows.values(column, "provider", "unit").annotate(total=Sum("amount")):
        triple = (row["provider"], row["unit"], row["total"])
        found.setdefault(row[column], []).append(triple)
    if group in ("role", "key"):
        order = sorted(found, key=lambda value: -(value or 0))
    else:
        order = sorted(found)
    items = [
        {column: value, "amounts": _by_unit(found[value]), "cost": cost_of(found[value])}
        for value in order[:USAGE_ITEMS]
    ]
    everything = [triple for triples in found.values() for triple in triples]
    return Usage(items, len(order) > USAGE_ITEMS, _by_unit(everything), cost_of(everything))


def cost_of(triples: Iterable[tuple[str, str, float]]) -> float | None:
    """What (provider, unit, amount) cost together; None where there are no prices at all.

    What has no price costs nothing.
    """
    prices: dict[str, float] = settings.USAGE_PRICES
    if not prices:
        return None
    costs = (prices.get(f"{name}:{unit}", 0.0) * amount for name, unit, amount in triples)
    return round(sum(costs), 6)


def _by_unit(triples: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for _provider, unit, amount in triples:
        sums[unit] = sums.get(unit, 0.0) + amount
    return {unit: round(amount, 3) for unit, amount in sorted(sums.items())}
