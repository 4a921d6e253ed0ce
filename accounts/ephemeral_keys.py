"""Keys of a few minutes, which a program makes for a browser: ``ek_…``.

They are kept by their digest, in the cache that all processes share. Each stands for the
credential that it was made with, so it ends with it.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from rest_framework_simplejwt.tokens import AccessToken

from accounts.credentials import Credential, digest_of, is_still_good
from accounts.models import ApiKey, User

PREFIX = "ek_"


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """A key that was shown.

    Attributes:
        credential: Of whoever made it.
        grant: What it is for, in the words of whoever issued it.
    """

    credential: Credential
    grant: Mapping[str, Any]


def ephemeral_key_issue(
    *, credential: Credential, grant: Mapping[str, Any], seconds: int
) -> tuple[str, int]:
    """A new key. Blocks for the cache.

    Args:
        credential: For whom it stands.
        grant: What it is for: values that JSON has.
        seconds: How long it lets in.

    Returns:
        The key, which nobody sees again, and when it ends (epoch seconds).
    """
    raw = PREFIX + secrets.token_urlsafe(32)
    kept = {
        "user": credential.user.pk,
        "key": credential.key_id,
        "token": credential.token.payload if credential.token else None,
        "cookie": credential.cookie,
        "grant": dict(grant),
    }
    expires_at = int(time.time()) + seconds
    cache.set(_name(raw), kept, timeout=seconds)
    return raw, expires_at


def ephemeral_key_find(raw: str) -> EphemeralKey | None:
    """What a key stands for; for a thread of the database.

    None where it is forged, has ended, or where the credential it was made with has.
    """
    kept = cache.get(_name(raw)) if raw.startswith(PREFIX) else None
    if kept is None:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    key = ApiKey.objects.filter(pk=kept["key"]).first() if kept["key"] else None
    if user is None or (kept["key"] and key is None):
        return None
    token = AccessToken() if kept["token"] else None
    if token is not None:
        token.payload = kept["token"]
    credential = Credential(user, key, token, kept["cookie"])
    return EphemeralKey(credential, kept["grant"]) if is_still_good(credential) else None


def _name(raw: str) -> str:
    return f"ephemeral:{digest_of(raw)}"
