"""Who is asking: one way for REST and sockets."""

import time
from collections import OrderedDict
from threading import Lock
from typing import cast

from django.core.cache import cache
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts.models import User

# How long a change of a user (deactivated, password changed) may go unnoticed here.
USER_SECONDS = 15.0
_USERS_KEPT = 4096


class _RecentUsers:
    """Users by access token id, for a moment: the user query was 9 % of a list request."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, tuple[float, User]] = OrderedDict()
        self._lock = Lock()

    def get(self, jti: str) -> User | None:
        with self._lock:
            entry = self._users.get(jti)
        return entry[1] if entry and entry[0] > time.monotonic() else None

    def put(self, jti: str, user: User) -> None:
        with self._lock:
            self._users[jti] = (time.monotonic() + USER_SECONDS, user)
            self._users.move_to_end(jti)
            if len(self._users) > _USERS_KEPT:
                self._users.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._users.clear()


recent_users = _RecentUsers()


class TokenAuthentication(JWTAuthentication):
    """``Authorization: Bearer <access token>``."""

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        """The active user of a token that was not revoked. Raises InvalidToken."""
        jti = str(validated_token.get("jti", ""))
        if cache.get(f"denied:{jti}"):
            raise InvalidToken("token was revoked")
        user = recent_users.get(jti)
        if user is None:
            user = cast(User, super().get_user(validated_token))
            recent_users.put(jti, user)
        return user


def token_of(raw: str) -> tuple[Token, User] | None:
    """An encoded access token and its user; None where it is expired, forged or revoked."""
    authentication = TokenAuthentication()
    try:
        token = authentication.get_validated_token(raw.encode())
        return token, authentication.get_user(token)
    except (InvalidToken, AuthenticationFailed, UnicodeEncodeError):
        return None


def user_of_token(raw: str) -> User | None:
    """The user of an encoded access token; None where it is expired, forged or revoked."""
    found = token_of(raw)
    return found[1] if found else None


def is_revoked(token: Token) -> bool:
    """Whether a token that was valid has been revoked since, whatever its age."""
    try:
        TokenAuthentication().get_user(token)
    except (InvalidToken, AuthenticationFailed):
        return True
    return False
