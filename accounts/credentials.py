"""What a program signs in with: an access token of a session, or an API key."""

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from django.db.models import Q
from django.utils import timezone

from accounts.authentication import USER_SECONDS, user_of_token
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
        key: The API key that was shown; None for an access token.
    """

    user: User
    key: ApiKey | None = field(default=None)

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
        user = user_of_token(raw)
        return Credential(user) if user else None
    key = _key_of(raw) if _KEY.fullmatch(raw) else None
    now = timezone.now()
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    _note_use(key, now)
    return Credential(key.user, key)


def _key_of(raw: str) -> ApiKey | None:
    digest = digest_of(raw)
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
