"""What the answers of providers amount to, for the ledger of usage."""

from collections.abc import Iterable

from voice.attempts import Attempt


def amounts_of(attempts: Iterable[Attempt]) -> dict[tuple[str, str], float]:
    """The sums of what was asked of each provider, by its registry name and the unit.

    Only what was answered counts, to its end or in part: a request that was refused, or
    that nobody waited for, is not charged by vendors either. A provider that costs nothing
    (``local``, ``understudy``) is in it as well.

    Args:
        attempts: Of one turn or request, in any order.

    Returns:
        By (provider, unit), with the units of `Attempt.units`; nothing that is 0.
    """
    sums: dict[tuple[str, str], float] = {}
    for attempt in attempts:
        if not attempt.answered:
            continue
        for unit, amount in attempt.units.items():
            if amount:
                key = (attempt.provider, unit)
                sums[key] = sums.get(key, 0.0) + amount
    return sums
