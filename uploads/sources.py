"""From what a client named to PCM: the worker's way to the audio of a question."""

import asyncio
import functools
from typing import Literal

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from uploads.fetch import MESSAGES, FetchError, FetchPolicy, SafeFetcher
from uploads.selectors import parse_name
from voice import storage
from voice.audio.decode import AudioError, AudioFault, DecodedClip, decode_clip

Stage = Literal["storage", "fetch", "decode"]

_AUDIO_FAULTS: dict[AudioFault, str] = {
    "empty": gettext_noop("音频文件是空的"),
    "not_audio": gettext_noop("文件不是受支持的音频（mp3、wav、m4a、aac、ogg、flac、webm）"),
    "unsupported": gettext_noop("不支持该音频的编码"),
    "no_audio": gettext_noop("文件中没有音轨"),
    "broken": gettext_noop("音频文件已损坏，无法解码"),
    "truncated": gettext_noop("音频文件不完整"),
    "too_large": gettext_noop("音频文件过大，最大 %(megabytes)g MiB"),
    "too_long": gettext_noop("音频过长，最长 %(seconds)g 秒"),
}
_STORAGE_FAULTS = {
    "missing": gettext_noop("音频文件不存在或已过期"),
    "unavailable": gettext_noop("音频存储暂不可用"),
}


class ClipError(Exception):
    """No audio could be had. ``str(error)`` is for logs; see ``clip_error_message``.

    Attributes:
        stage: Where it failed: in our storage, on the way to a foreign URL, in decoding.
        reason: ``missing`` or ``unavailable`` (storage), ``uploads.fetch.Reason`` (fetch) or
            ``voice.audio.decode.AudioFault`` (decode; ``too_long`` among them).
    """

    def __init__(self, stage: Stage, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage: Stage = stage
        self.reason = reason

    @property
    def code(self) -> int:
        """The contract's status: 404, 413, 400 for what the client gave, 500, 502 or 504."""
        by_reason = {"missing": 404, "too_large": 413, "timeout": 504, "unavailable": 500}
        by_reason |= dict.fromkeys(("unreachable", "forbidden_address", "bad_status"), 502)
        return by_reason.get(self.reason, 400)


def fetch_policy() -> FetchPolicy:
    """What FOREIGN_URLS, FOREIGN_URL_HOSTS and UPLOAD_MAX_BYTES say. Raises ValueError."""
    return FetchPolicy(
        allow_foreign=settings.FOREIGN_URLS,
        allowed_hosts=frozenset(settings.FOREIGN_URL_HOSTS),
        max_bytes=settings.UPLOAD_MAX_BYTES,
    )


@functools.cache
def default_fetcher() -> SafeFetcher:
    """This process's fetcher, by ``fetch_policy``."""
    return SafeFetcher(fetch_policy())


async def load_clip(
    source: str, *, fetcher: SafeFetcher | None = None, sample_rate: int = 16_000
) -> DecodedClip:
    """Load and decode audio within UPLOAD_MAX_BYTES and UPLOAD_MAX_SECONDS.

    Reading and decoding happen in threads. The caller may cancel at any time.

    Args:
        source: A name in storage or a foreign URL, as ``selectors.audio_source`` gave it.
        fetcher: Fetches foreign URLs; ``default_fetcher()`` without one.
        sample_rate: Hz wanted.

    Returns:
        PCM16 mono.

    Raises:
        ClipError: With the stage and the reason.
    """
    try:
        if parse_name(source):
            data = await storage.read_async(source)
        else:
            data = (await (fetcher or default_fetcher()).fetch(source)).body
        return await asyncio.to_thread(
            decode_clip,
            data,
            max_seconds=settings.UPLOAD_MAX_SECONDS,
            max_bytes=settings.UPLOAD_MAX_BYTES,
            sample_rate=sample_rate,
        )
    except storage.FileMissing as error:
        raise ClipError("storage", "missing") from error
    except storage.StorageError as error:
        raise ClipError("storage", "unavailable") from error
    except FetchError as error:
        raise ClipError("fetch", error.reason) from error
    except AudioError as error:
        raise ClipError("decode", error.reason) from error


def clip_error_message(stage: str, reason: str) -> str:
    """What a person reads about a ``ClipError``, in the active language."""
    table: dict[str, str] = {
        "storage": _STORAGE_FAULTS,
        "fetch": MESSAGES,
        "decode": _AUDIO_FAULTS,
    }[stage]  # type: ignore[assignment]
    return _(table[reason]) % {
        "seconds": settings.UPLOAD_MAX_SECONDS,
        "megabytes": settings.UPLOAD_MAX_BYTES / 2**20,
    }
