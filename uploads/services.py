"""Every write to stored audio."""

import logging
import os
import secrets
import unicodedata
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from uploads.models import AudioFile, Origin
from voice import storage
from voice.audio.decode import AudioError, decode_clip

logger = logging.getLogger(__name__)

_BATCH = 200
_NAME_LENGTH = 255
# Marks that turn the reading direction: `gpj.exe` may not read as `exe.jpg`.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Decoding is pure computing: more of it at once than cores only starves the event loop.
_decoders = BoundedSemaphore(os.cpu_count() or 1)


def audio_store(
    *,
    owner: User,
    data: bytes,
    extension: str,
    seconds: float,
    origin: str,
    filename: str = "",
) -> AudioFile:
    """Keep audio under a fresh token: the file first, then its row.

    The bytes are taken as they are; ``upload_accept`` is for those of strangers. Call it
    outside of transactions, else a rollback leaves the file behind.

    Args:
        owner: Whose audio it is.
        data: The whole encoded file.
        extension: Of the container: mp3, wav, m4a, aac, ogg, flac or webm.
        seconds: Length of the audio.
        origin: One of ``Origin``.
        filename: The client's name for it, to be shown only.

    Raises:
        voice.storage.StorageError: The file could not be written; there is no row.
    """
    row = AudioFile(
        token=secrets.token_hex(16),
        owner=owner,
        origin=Origin(origin),
        filename=filename[:_NAME_LENGTH],
        extension=extension,
        size=len(data),
        seconds=seconds,
    )
    storage.write(row.name, data)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except BaseException:
        _discard(row.name)
        raise
    return row


def upload_accept(*, owner: User, file: UploadedFile[bytes]) -> AudioFile:
    """Prove that an upload is audio by decoding all of it, and keep it as it came.

    Raises:
        AudioError: It is not audio within UPLOAD_MAX_BYTES and UPLOAD_MAX_SECONDS; nothing
            was kept.
        voice.storage.StorageError: The file could not be written; nothing was kept.
    """
    size = file.size or 0
    if size > settings.UPLOAD_MAX_BYTES:
        raise AudioError(f"{size} bytes", "too_large")
    data = file.read()
    with _decoders:
        clip = decode_clip(
            data,
            max_seconds=settings.UPLOAD_MAX_SECONDS,
            max_bytes=settings.UPLOAD_MAX_BYTES,
        )
    return audio_store(
        owner=owner,
        data=data,
        extension=clip.container,
        seconds=clip.seconds,
        origin=Origin.UPLOAD,
        filename=shown_name(file.name or ""),
    )


def shown_name(name: str) -> str:
    """A client's file name as it may be shown: no folders, control characters or turns."""
    base = name.replace("\\", "/").rpartition("/")[2]
    kept = (
        char
        for char in base
        if unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in _TURNS
    )
    return "".join(kept).strip()[:_NAME_LENGTH]


def audio_delete_expired(now: datetime) -> int:
    """Delete files and rows older than UPLOAD_RETENTION_DAYS, replies like uploads.

    May be cut off and run again at any time: a file goes before its row, so nothing is left
    behind that no row speaks of. A file that cannot be deleted keeps its row for the next run.

    Returns:
        How many were deleted.
    """
    if not settings.UPLOAD_RETENTION_DAYS:
        return 0
    old = AudioFile.objects.filter(
        created_at__lt=now - timedelta(days=settings.UPLOAD_RETENTION_DAYS)
    ).order_by("pk")
    deleted = after = 0
    while batch := _batch(old, after):
        after = batch[-1].pk
        gone = [row.pk for row in batch if _discard(row.name)]
        AudioFile.objects.filter(pk__in=gone).delete()
        deleted += len(gone)
    return deleted


def _batch(rows: QuerySet[AudioFile], after: int) -> list[AudioFile]:
    return list(rows.filter(pk__gt=after).only("token", "extension")[:_BATCH])


def discard_file_of_row(instance: AudioFile, using: str, **_: Any) -> None:
    """Receives ``post_delete``: once the row is gone for good, so is the file.

    A signal, because rows also go by the admin's bulk deletion and with their owner.
    """
    name = instance.name
    transaction.on_commit(lambda: _discard(name), using=using)


def _discard(name: str) -> bool:
    try:
        storage.delete(name)
    except storage.StorageError:
        logger.exception("audio %s stays in storage", name)
        return False
    return True
