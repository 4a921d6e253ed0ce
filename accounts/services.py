"""Every write to accounts and their tokens."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import cast

from django.core.cache import cache
from django.db import IntegrityError, transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts.models import User

TICKET_SECONDS = 30
_PASSWORD_CLAIM = api_settings.REVOKE_TOKEN_CLAIM


class NameTaken(Exception):
    """Somebody already has this user name (names are compared without case)."""


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
