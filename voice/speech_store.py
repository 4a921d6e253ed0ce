"""Kept speech in media storage, with its index in the database.

The index answers without the storage what is not kept, which is the common case and may be
far away (S3); it also knows the sizes and the last uses, by which the clean-up goes.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Sum
from django.utils import timezone

from accounts.database import in_database_thread
from voice import storage
from voice.models import KeptSpeech
from voice.tts.cache import StoreError

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# A use is noted once in so long, so that a hit is mostly a read.
_NOTED = timedelta(hours=1)
_BATCH = 500


def name_of(digest: str) -> str:
    """The file's name in media storage."""
    return f"speech/{digest}.flac"


def path_of(digest: str) -> str:
    """Where it is served, relative to the platform's base URL: public, and for ever the same."""
    return f"/{name_of(digest)}"


class DjangoSpeechStore:
    """`voice.tts.cache.SpeechStore` over media storage and the database.

    Shared by event loops and processes. A file that got lost or damaged is a miss, and
    forgotten.
    """

    async def get(self, key: str) -> bytes | None:
        """See `SpeechStore.get`."""
        digest = await _in_database(lambda: _look_up(key))
        if digest is None:
            return None
        try:
            file = await storage.read_async(name_of(digest))
        except storage.FileMissing:
            file = b""
        except storage.StorageError as error:
            raise StoreError(str(error)) from error
        if hashlib.sha256(file).hexdigest() == digest:
            return file
        logger.warning("kept speech is lost or damaged", digest=digest)
        await self.discard(key)
        return None

    async def put(self, key: str, file: bytes) -> None:
        """See `SpeechStore.put`."""
        digest = hashlib.sha256(file).hexdigest()
        try:
            # The file first: a row promises that it is there.
            await asyncio.to_thread(storage.write_once, name_of(digest), file)
        except storage.StorageError as error:
            raise StoreError(str(error)) from error
        if not await _in_database(lambda: _index(key, digest, len(file))):
            await _in_database(lambda: _forget([], [digest]))

    async def discard(self, key: str) -> None:
        """See `SpeechStore.discard`. Other keys of the same file go with it."""
        await _in_database(lambda: _discard(key))


def speech_path(key: str) -> str | None:
    """Where kept speech is served; None where it is not kept. Blocks."""
    digest = _look_up(key)
    return path_of(digest) if digest else None


def speech_clean_up(now: datetime) -> int:
    """Forget what was not used for SPEECH_CACHE_DAYS, then the least used beyond SPEECH_CACHE_MB.

    May be cut off and run again at any time, also at once with itself: a file goes before
    its row, and a row without a file is a miss. A file that cannot be deleted keeps its row
    for the next run.

    Returns:
        How many were forgotten.
    """
    rows = KeptSpeech.objects.order_by("used_at", "pk").values_list(
        "pk", "digest", "size", "used_at"
    )
    oldest = now - timedelta(days=settings.SPEECH_CACHE_DAYS)
    excess = (KeptSpeech.objects.aggregate(total=Sum("size"))["total"] or 0) - (
        settings.SPEECH_CACHE_MB * 2**20
    )
    going: dict[int, str] = {}
    for pk, digest, size, used_at in rows:
        if excess <= 0 and (used_at >= oldest or not settings.SPEECH_CACHE_DAYS):
            break
        going[pk] = digest
        excess -= size
    batches = [list(going)[at : at + _BATCH] for at in range(0, len(going), _BATCH)]
    return sum(_forget(pks, {going[pk] for pk in pks}) for pks in batches)


def speech_forget(rows: Collection[int]) -> int:
    """Delete kept speech by primary keys, with its files; returns how many were forgotten."""
    digests = KeptSpeech.objects.filter(pk__in=rows).values_list("digest", flat=True)
    return _forget(rows, set(digests))


def _forget(pks: Collection[int], digests: Collection[str]) -> int:
    """Delete the files that only these rows speak of, then the rows."""
    rows = KeptSpeech.objects.filter(digest__in=digests).values_list("pk", "digest")
    others = {digest for pk, digest in rows if pk not in pks}
    left = {digest for digest in digests if digest not in others and not _drop(digest)}
    going = KeptSpeech.objects.filter(pk__in=pks).exclude(digest__in=left)
    return going.delete()[0]


def _discard(key: str) -> None:
    digest = KeptSpeech.objects.filter(key=key).values_list("digest", flat=True).first()
    if digest and _drop(digest):
        KeptSpeech.objects.filter(digest=digest).delete()


def _drop(digest: str) -> bool:
    try:
        storage.delete(name_of(digest))
    except storage.StorageError:
        logger.exception("kept speech stays in storage", digest=digest)
        return False
    return True


def _look_up(key: str) -> str | None:
    row = KeptSpeech.objects.filter(key=key).values_list("pk", "digest", "used_at").first()
    if row is None:
        return None
    pk, digest, used_at = row
    now = timezone.now()
    if now - used_at > _NOTED:
        KeptSpeech.objects.filter(pk=pk).update(used_at=now)
    return str(digest)


def _index(key: str, digest: str, size: int) -> bool:
    """Whether the file is the one that is kept under the key: whoever was first stays."""
    row, _created = KeptSpeech.objects.get_or_create(
        key=key, defaults={"digest": digest, "size": size, "used_at": timezone.now()}
    )
    return row.digest == digest


async def _in_database(work: Callable[[], T]) -> T:
    try:
        return await in_database_thread(work)
    except DatabaseError as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error
