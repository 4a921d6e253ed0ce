"""What a program signs in with: an access token of a session, an API key, a browser's cookie."""

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import Q
from django.utils import timezone
from rest_framework_simplejwt.tokens import Token

from accounts.authentication import USER_SECONDS, is_revoked, token_of
from accounts.models import ApiKey, User

# 256 random bits in base64url behind the prefix; what differs in form is no key of ours.
_KEY = re.compile(r"sk-[\w-]{43}", re.ASCII)
_KEYS_KEPT = 4096
# A key's last use is written no more often than this.
_USE_WRITTEN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Credential:
    """Who asks.

    Attributes:
        user: An active user.
        key: The API key that was shown, if it was one.
        token: The access token that was shown, if it was one.
        cookie: The key of the browser's session, if it was one.
    """

    user: User
    key: ApiKey | None = field(default=None)
    token: Token | None = field(default=None, repr=False)
    cookie: str = field(default="", repr=False)

    @property
    def key_id(self) -> int | None:
        """The key's id for the ledger."""
        return self.key.pk if self.key else None


class _RecentKeys:
    """Keys by digest, for USER_SECONDS: so long may a change in another process go unnoticed."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()
        self._changes = 0
        self._lock = Lock()

    @property
    def changes(self) -> int:
        """Goes up with each ``forget``; to be read before a key is read from the database."""
        return self._changes

    def get(self, digest: str) -> ApiKey | None:
        with self._lock:
            entry = self._keys.get(digest)
        return entry[1] if entry and entry[0] > time.monotonic() else None

    def put(self, digest: str, key: ApiKey, *, changes: int) -> None:
        """Keep a key, unless one was changed since ``changes``: it may be this one."""
        with self._lock:
            if changes != self._changes:
                return
            self._keys[digest] = (time.monotonic() + USER_SECONDS, key)
            self._keys.move_to_end(digest)
            if len(self._keys) > _KEYS_KEPT:
                self._keys.popitem(last=False)

    def forget(self, digest: str) -> None:
        with self._lock:
            self._changes += 1
            self._keys.pop(digest, None)

    def clear(self) -> None:
        with self._lock:
            self._changes += 1
            self._keys.clear()


recent_keys = _RecentKeys()


def digest_of(raw: str) -> str:
    """Under which a key is stored. Plain SHA-256: 256 random bits need no slow hash."""
    return hashlib.sha256(raw.encode()).hexdigest()


def credential_of(raw: str) -> Credential | None:
    """Whose access token or API key this is; for a thread of the database.

    A revoked key is refused at once by the process that revoked it and within USER_SECONDS
    by the others; so is whatever belongs to a user who was deactivated. An expired key is
    refused from that very second on.

    Args:
        raw: As it was sent, without ``Bearer``.

    Returns:
        None for what is forged, expired, revoked or no active user's.
    """
    if not raw.startswith("sk-"):
        found = token_of(raw)
        return Credential(found[1], token=found[0]) if found else None
    key = usable_key(digest_of(raw)) if _KEY.fullmatch(raw) else None
    if key is None:
        return None
    _note_use(key, timezone.now())
    return Credential(key.user, key)


def credential_of_cookie(session_key: str) -> Credential | None:
    """Whose browser's session this is; for a thread of the database. None for nobody's."""
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(cast(Any, SimpleNamespace(session=store)))
    if not isinstance(user, User) or not user.is_active:
        return None
    return Credential(user, cookie=session_key)


def is_still_good(credential: Credential) -> bool:
    """Whether what was shown once would still be let in; for a thread of the database.

    An access token may have grown old meanwhile, as long as it was not revoked.
    """
    if credential.key is not None:
        return usable_key(credential.key.digest) is not None
    if credential.token is not None:
        return not is_revoked(credential.token)
    return credential_of_cookie(credential.cookie) is not None


def usable_key(digest: str) -> ApiKey | None:
    """A key that is neither revoked nor expired, of an active user."""
    key = _key_of(digest)
    if key is None or (key.expires_at is not None and key.expires_at <= timezone.now()):
        return None
    return key


def _key_of(digest: str) -> ApiKey | None:
    key = recent_keys.get(digest)
    if key is None:
        changes = recent_keys.changes
        usable = ApiKey.objects.filter(digest=digest, revoked_at=None, user__is_active=True)
        key = usable.select_related("user").first()
        if key is not None:
            recent_keys.put(digest, key, changes=changes)
    return key


def _note_use(key: ApiKey, now: datetime) -> None:
    before = now - _USE_WRITTEN
    if key.last_used_at is not None and key.last_used_at > before:
        return
    key.last_used_at = now  # shared by all who have this key: one of them writes
    unwritten = Q(last_used_at=None) | Q(last_used_at__lte=before)
    ApiKey.objects.filter(unwritten, pk=key.pk).update(last_used_at=now)
