"""Every write to accounts, their tokens and keys, and the ledger of what they use."""

import functools
import hashlib
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts import selectors
from accounts.credentials import digest_of, recent_keys
from accounts.models import ApiKey, User
from accounts.quotas import month_sums

TICKET_SECONDS = 30
_PASSWORD_CLAIM = api_settings.REVOKE_TOKEN_CLAIM

# The ORM's upserts replace what is there. The conflict names the index of the constraint
# ``one_usage_row_a_day``. SQLite and PostgreSQL read it alike.
_ADD_USAGE = """
    INSERT INTO accounts_usageday (user_id, key_id, role_id, day, provider, unit, amount)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (user_id, day, provider, unit, COALESCE(role_id, 0), COALESCE(key_id, 0))
    DO UPDATE SET amount = accounts_usageday.amount + EXCLUDED.amount
"""


class NameTaken(Exception):
    """Somebody already has this user name (names are compared without case)."""


class TooManyKeys(Exception):
    """A user has API_KEYS_PER_USER keys already."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of encoded JWTs."""

    access: str
    refresh: str


@transaction.atomic
def user_register(*, username: str, password: str) -> User:
    """Create a user. Raises NameTaken."""
    if User.objects.filter(username__iexact=username).exists():
        raise NameTaken
    try:
        with transaction.atomic():
            return User.objects.create_user(username=username, password=password)
    except IntegrityError as error:
        raise NameTaken from error


def tokens_issue(*, user: User) -> Tokens:
    """A fresh pair of tokens."""
    refresh = RefreshToken.for_user(user)
    return Tokens(access=str(refresh.access_token), refresh=str(refresh))


@transaction.atomic
def tokens_refresh(*, refresh: str) -> Tokens:
    """A new pair for a refresh token, which is used up by it: of two at once one is refused.

    Raises TokenError where the token is forged, expired or used up, where its user is gone
    or deactivated, and where the password has changed since.
    """
    token = RefreshToken(refresh)  # type: ignore[arg-type]
    user = User.objects.filter(pk=token["user_id"], is_active=True).first()
    if user is None or token.get(_PASSWORD_CLAIM) != get_md5_hash_password(user.password):
        raise TokenError("the session has ended")
    _row, first = cast(tuple[object, bool], token.blacklist())
    if not first:
        raise TokenError("used up at this very moment")
    return tokens_issue(user=user)


def tokens_revoke(*, access: AccessToken, refresh: str, user: User) -> None:
    """End a session: the refresh token is blacklisted, the access token denied.

    Raises TokenError where the refresh token is not valid or is somebody else's.
    """
    token = RefreshToken(refresh)  # type: ignore[arg-type]
    if str(token.get("user_id")) != str(user.pk):
        raise TokenError("not this user's token")
    token.blacklist()
    remaining = int(access["exp"] - access.current_time.timestamp())
    if remaining > 0:
        cache.set(f"denied:{access['jti']}", True, timeout=remaining)


def ticket_issue(*, user: User) -> str:
    """A ticket that opens one socket within TICKET_SECONDS."""
    ticket = secrets.token_urlsafe(24)
    cache.set(_ticket_key(ticket), user.pk, timeout=TICKET_SECONDS)
    return ticket


def ticket_redeem(*, ticket: str) -> int | None:
    """The user's id, once; None for a ticket that is unknown, used or too old."""
    key = _ticket_key(ticket)
    user_id: int | None = cache.get(key)
    # Two may read it; only one of them deletes it.
    return user_id if user_id is not None and cache.delete(key) else None


def _ticket_key(ticket: str) -> str:
    return "ticket:" + hashlib.sha256(ticket.encode()).hexdigest()


@transaction.atomic
def key_create(*, user: User, name: str, **limits: Any) -> tuple[ApiKey, str]:
    """A new key, and what it is: this is the only time that anybody sees it.

    Args:
        user: Its owner.
        name: For its owner alone.
        limits: ``expires_at`` and the fields of ``Limits``, each as in ``ApiKey``.

    Raises:
        TooManyKeys: Revoke one first.
    """
    User.objects.select_for_update().get(pk=user.pk)  # of two at once one waits and counts
    if selectors.keys_of(user=user).count() >= settings.API_KEYS_PER_USER:
        raise TooManyKeys
    raw = "sk-" + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        user=user, name=name, prefix=raw[:10], digest=digest_of(raw), **limits
    )
    return key, raw


def key_update(*, key: ApiKey, **changes: Any) -> None:
    """Change a key's name, expiry or limits; in force at once in this process."""
    for name, value in changes.items():
        setattr(key, name, value)
    key.save(update_fields=list(changes))
    transaction.on_commit(functools.partial(recent_keys.forget, key.digest))


def key_revoke(*, key: ApiKey) -> None:
    """End a key for good; refused at once in this process, soon in all."""
    key_update(key=key, revoked_at=timezone.now())


@transaction.atomic
def usage_add(
    *,
    user_id: int,
    role_id: int | None,
    amounts: Mapping[tuple[str, str], float],
    key_id: int | None = None,
) -> None:
    """Add to today's ledger; safe for any number of threads and processes at once.

    Args:
        user_id: Who used it.
        role_id: The character it was for; None for none.
        amounts: By (provider, unit), in that unit. What is 0 is left out.
        key_id: The API key it was asked with; None for a session.

    Raises:
        ValueError: An amount is negative, infinite or no number.
        IntegrityError: The user is gone.
    """
    if any(not math.isfinite(amount) or amount < 0 for amount in amounts.values()):
        raise ValueError(f"not amounts: {dict(amounts)}")
    day = connection.ops.adapt_datefield_value(selectors.today())
    rows = [
        (user_id, key_id, role_id, day, provider, unit, amount)
        for (provider, unit), amount in sorted(amounts.items())  # one order: no deadlock
        if amount
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_ADD_USAGE, rows)
    transaction.on_commit(functools.partial(_count_towards_month, user_id, key_id, dict(amounts)))


def _count_towards_month(
    user_id: int, key_id: int | None, amounts: Mapping[tuple[str, str], float]
) -> None:
    for (_provider, unit), amount in amounts.items():
        month_sums.add((user_id, None), unit, amount)
        if key_id is not None:
            month_sums.add((user_id, key_id), unit, amount)
