"""The key that signs tokens and sessions."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key


def secret_key(key: str, path: Path, *, local: bool, host: str) -> str:
    """The operator's, or (on a loopback address alone) one that is made once and kept.

    Args:
        key: SECRET_KEY; empty where it is not set.
        path: Where it is kept.
        local: The platform listens on loopback alone.
        host: Where it listens, for the message.

    Raises:
        ImproperlyConfigured: The key is too short, or there must be one.
    """
    if key:
        if len(key) < 32:
            raise ImproperlyConfigured("SECRET_KEY must have at least 32 characters")
        return key
    if not local:
        raise ImproperlyConfigured(f"SECRET_KEY must be set where HOST is {host}, not loopback")
    try:
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(get_random_secret_key())
    except FileExistsError:
        pass
    return path.read_text(encoding="ascii")
