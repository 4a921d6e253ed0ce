"""Every read of stored audio that has rules."""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from accounts.models import User
from uploads.models import AudioFile
from voice import storage
from voice.audio.sniff import AAC, FLAC, M4A, MP3, OGG, WAV, WEBM

MIME_TYPES = {kind.container: kind.mime for kind in (MP3, WAV, M4A, AAC, OGG, FLAC, WEBM)}
"""The fixed media type of each extension."""

_NAME = re.compile(rf"([0-9a-f]{{32}})\.({'|'.join(MIME_TYPES)})")
_DEFAULT_PORTS = (80, 443, None)


class UnknownAudio(Exception):
    """A URL leads to this platform, but to no audio of this user."""


def parse_name(name: str) -> tuple[str, str] | None:
    """The token and extension of a stored file's name; None for anything else."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2]) if found else None


def is_own_url(url: str, base_urls: Sequence[str]) -> bool:
    """Whether a client's URL leads to this platform, and so is never to be fetched.

    Args:
        url: As the client gave it.
        base_urls: Absolute addresses of this platform: PUBLIC_BASE_URL, the request's own.
            Their scheme does not count, since a proxy may have taken TLS off.
    """
    return _own_path(url, base_urls) is not None


def audio_by_path(*, user: User, url: str, base_urls: Sequence[str]) -> AudioFile | None:
    """The user's own file that a URL leads to, relative or absolute.

    None where it is foreign (see ``is_own_url``), unknown or another user's.
    """
    path = _own_path(url, base_urls) or ""
    parsed = parse_name(path.removeprefix("/uploads/")) if path.startswith("/uploads/") else None
    if parsed is None:
        return None
    return AudioFile.objects.filter(owner=user, token=parsed[0], extension=parsed[1]).first()


def audio_source(*, user: User, url: str, base_urls: Sequence[str]) -> str:
    """What ``uploads.sources.load_clip`` takes for a URL that a client named.

    Returns:
        The name in storage of the user's own file, or a foreign URL as it came.

    Raises:
        UnknownAudio: The URL is ours, but there is no such file or it is another user's.
    """
    if not is_own_url(url, base_urls):
        return url
    file = audio_by_path(user=user, url=url, base_urls=base_urls)
    if file is None:
        raise UnknownAudio(url)
    return file.name


def audio_read(file: AudioFile) -> bytes:
    """The encoded bytes. Blocks. Raises voice.storage.FileMissing, StorageError."""
    return storage.read(file.name)


def _own_path(url: str, base_urls: Sequence[str]) -> str | None:
    """The path below this platform's base address; None for a foreign or malformed URL."""
    parts = _split(url)
    if parts is None:
        return None
    if not parts.scheme and not parts.netloc:
        return parts.path if parts.path.startswith("/") else None
    if parts.scheme not in ("http", "https"):
        return None
    for base_url in base_urls:
        base = _split(base_url)
        if base is not None and base.hostname and _host(base) == _host(parts):
            return parts.path.removeprefix(base.path.rstrip("/"))
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        return None
    return parts


def _host(parts: SplitResult) -> tuple[str, int | None]:
    port = None if parts.port in _DEFAULT_PORTS else parts.port
    return (parts.hostname or "").removesuffix("."), port
