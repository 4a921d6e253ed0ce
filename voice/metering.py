"""What a request below ``/v1`` has used, written to the ledger when it has ended."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import structlog
from django.db import DatabaseError

from accounts import services
from accounts.concurrency import TooManyAtOnce, place
from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.openai_http import ApiError
from voice.attempts import collected
from voice.ledger import amounts_of

logger = structlog.get_logger(__name__)


@contextmanager
def _place(credential: Credential) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(place(credential.user.pk))
        except TooManyAtOnce as error:
            raise ApiError(
                429,
                f"Rate limit reached: {error}.",
                code="rate_limit_exceeded",
                headers={"Retry-After": "1"},
            ) from error
        yield


@asynccontextmanager
async def metered(credential: Credential, *, role_id: int | None = None) -> AsyncIterator[None]:
    """Count what providers give in this block, however it ends, as the caller's use.

    Close their streams within it: only what has ended is counted.

    Args:
        credential: Who asked.
        role_id: The character it is for.

    Raises:
        ApiError: As much of theirs is under way as may be.
    """
    with _place(credential), collected() as attempts:
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
