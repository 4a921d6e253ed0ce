"""Every read of keys and of the ledger."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db.models import QuerySet, Sum

from accounts.models import ApiKey, UsageDay, User


def today() -> date:
    """The day that the ledger writes now."""
    return datetime.now(UTC).date()


def keys_of(*, user: User) -> QuerySet[ApiKey]:
    """A user's keys that are not revoked, the newest first; expired ones among them."""
    return ApiKey.objects.filter(user=user, revoked_at=None)


def spent_by_unit(
    *, user_id: int, key_id: int | None = None, since: date, units: Iterable[str]
) -> dict[str, float]:
    """What a user (or one key of theirs) has used since a day, by unit; 0 is left out."""
    rows = UsageDay.objects.filter(user_id=user_id, day__gte=since, unit__in=list(units))
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    return dict(rows.order_by().values_list("unit").annotate(Sum("amount")))
