"""What a request below ``/v1`` has used, written to the ledger when it has ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from django.db import DatabaseError

from accounts import services
from accounts.credentials import Credential
from accounts.database import in_database_thread
from voice.attempts import collected
from voice.ledger import amounts_of

logger = structlog.get_logger(__name__)


@asynccontextmanager
async def metered(credential: Credential, *, role_id: int | None = None) -> AsyncIterator[None]:
    """Count what providers give in this block, however it ends, as the caller's use.

    Close their streams within it: only what has ended is counted.

    Args:
        credential: Who asked.
        role_id: The character it is for.
    """
    with collected() as attempts:
        try:
            yield
        finally:
            if amounts := amounts_of(attempts):
                try:
                    await in_database_thread(
                        services.usage_add,
                        user_id=credential.user.pk,
                        role_id=role_id,
                        amounts=amounts,
                        key_id=credential.key_id,
                    )
                except DatabaseError:  # the answer was given, and stays
                    logger.exception("usage was not written", user_id=credential.user.pk)
