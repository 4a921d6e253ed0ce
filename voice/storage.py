"""The door to media storage, on disk or S3.

All work happens in threads of its own. A request's thread lives as long as the request, and
an S3 client belongs to its thread: without these, each request would build one anew.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage

T = TypeVar("T")

_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="storage")


class StorageError(Exception):
    """Media storage did not do what it was asked."""


class FileMissing(StorageError):
    """Media storage has no file of this name."""


def write(name: str, data: bytes) -> None:
    """Store a new file. Blocks. Raises StorageError; then nothing stands under the name."""
    _threads.submit(_guarded, lambda: _write(name, data)).result()


def write_once(name: str, data: bytes) -> None:
    """Store a file whose name follows from its bytes, unless it is there already.

    Blocks. Raises StorageError.
    """
    _threads.submit(_guarded, lambda: _write_once(name, data)).result()


def read(name: str) -> bytes:
    """A file's bytes. Blocks. Raises FileMissing, StorageError."""
    return _threads.submit(_guarded, lambda: _read(name)).result()


def delete(name: str) -> None:
    """Remove a file; one that is gone already is no error. Blocks. Raises StorageError."""
    _threads.submit(_guarded, lambda: default_storage.delete(name)).result()


async def read_async(name: str) -> bytes:
    """``read`` for coroutines."""
    return await _in_thread(lambda: _read(name))


async def open_at(name: str, offset: int) -> File[bytes]:
    """Open a file for ``read_some`` from a byte on; the caller closes it.

    Raises FileMissing, StorageError.
    """

    def work() -> File[bytes]:
        file: File[bytes] = default_storage.open(name, "rb")
        try:
            file.seek(offset)
        except BaseException:
            file.close()
            raise
        return file

    return await _in_thread(work)


async def read_some(file: File[bytes], size: int) -> bytes:
    """Up to ``size`` further bytes, none at the end. Raises StorageError."""
    return await _in_thread(lambda: file.read(size))


def _write(name: str, data: bytes) -> None:
    try:
        default_storage.save(name, ContentFile(data))
    except BaseException:
        # A full disk leaves a part of the file.
        default_storage.delete(name)
        raise


def _write_once(name: str, data: bytes) -> None:
    if default_storage.exists(name):
        return
    saved = default_storage.save(name, ContentFile(data))
    if saved != name:  # somebody else was first, and the storage found a name of its own
        default_storage.delete(saved)


def _read(name: str) -> bytes:
    with default_storage.open(name, "rb") as file:
        data: bytes = file.read()
        return data


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except FileNotFoundError as error:
        raise FileMissing(str(error)) from error
    # Each backend has a family of its own (OSError, botocore's two, boto3's); behind this
    # door there is one.
    except Exception as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, _guarded, work)
