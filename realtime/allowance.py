"""How much the owner of a session may still use, looked at before each reply."""

from collections.abc import Collection
from typing import Any

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from accounts import quotas
from accounts.credentials import Credential
from accounts.database import in_database_thread

logger = structlog.get_logger(__name__)


class Allowance:
    """What is left of a credential's budgets, as it was known last.

    Args:
        credential: Whose.
    """

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._tokens: tuple[int, float] | None = None

    def bounds(self, budgets: Collection[str]) -> bool:
        """Whether one of these budgets has a limit at all."""
        return any(quotas.is_bounded(self._credential, each) for each in budgets)

    async def check(self, budgets: Collection[str]) -> None:
        """Let pass what would use these budgets; costs nothing where none has a limit.

        Raises:
            QuotaSpent: Nothing is left of one of them.
        """
        if self.bounds(budgets):
            await in_database_thread(self.look, budgets)

    async def count_response(self) -> None:
        """Let a response pass, as one of the requests of its user and key in this minute.

        Raises:
            RateExceeded: It is one too many.
        """
        if not settings.RATE_LIMITS:
            return
        try:
            await in_database_thread(quotas.count_request, self._credential)
        except RedisError:
            # Without the counter nobody is refused: a call needs nothing else of it.
            logger.warning("responses cannot be counted", exc_info=True)

    def look(self, budgets: Collection[str]) -> None:
        """The same, for a thread of the database. Raises QuotaSpent."""
        self._tokens = quotas.left_of(self._credential, "tokens")
        quotas.check_budgets(self._credential, budgets)

    def rate_limits(self) -> list[dict[str, Any]]:
        """For ``rate_limits.updated``: the tokens of the month, where they have a limit."""
        if self._tokens is None:
            return []
        limit, left = self._tokens
        return [
            {
                "name": "tokens",
                "limit": limit,
                "remaining": int(left),
                "reset_seconds": quotas.seconds_to_next_month(),
            }
        ]
