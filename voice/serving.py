"""``GET /samples/<digest>.mp3``: a voice's sample, made when it is first asked for.

Players cannot send a token, so anybody may ask: what can be made is one sentence a voice
on offer, once, and a throttle holds whoever asks for many that are not there yet.
"""

import hashlib
import logging
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from accounts.throttling import SampleThrottle
from voice import samples, storage
from voice.audio.ranges import RangeError, wanted_bytes
from voice.speech_store import name_of
from voice.storage import FileMissing, StorageError

logger = logging.getLogger(__name__)


async def serve(request: HttpRequest, digest: str) -> HttpResponseBase:
    """The sample, whole or in part; a clear status where there is none."""
    if request.method not in ("GET", "HEAD"):
        return _plain(405, _("不支持的请求方法"), Allow="GET, HEAD")
    try:
        sample = await samples.kept(digest)
        if sample is None:
            throttle = SampleThrottle()
            allowed = sync_to_async(throttle.allow_request, thread_sensitive=False)
            if not await allowed(cast(Any, request), cast(Any, None)):
                wait = str(int(throttle.wait() or 1))
                return _plain(429, _("请求过于频繁，请稍后再试"), **{"Retry-After": wait})
            sample = await samples.make(digest)
    except samples.UnknownSample:
        return _plain(404, _("资源不存在"))
    except samples.SampleFailed as error:
        logger.warning("no sample: %s", error)
        return _plain(503, _("这个声音暂时无法试听"), **{"Retry-After": "30"})
    except StorageError:
        logger.exception("sample %s cannot be read or kept", digest)
        return _plain(503, _("服务暂不可用"))
    return _audio(request, sample, digest, "audio/mpeg")


async def serve_speech(request: HttpRequest, digest: str) -> HttpResponseBase:
    """``GET /speech/<digest>.flac``: kept speech, to whoever was told its name."""
    if request.method not in ("GET", "HEAD"):
        return _plain(405, _("不支持的请求方法"), Allow="GET, HEAD")
    try:
        file = await storage.read_async(name_of(digest))
    except FileMissing:
        return _plain(404, _("资源不存在"))
    except StorageError:
        logger.exception("kept speech %s cannot be read", digest)
        return _plain(503, _("服务暂不可用"))
    if hashlib.sha256(file).hexdigest() != digest:  # caches would keep it for a year
        logger.error("kept speech %s is damaged", digest)
        return _plain(404, _("资源不存在"))
    return _audio(request, file, digest, "audio/flac")


def _audio(request: HttpRequest, sample: bytes, digest: str, mime: str) -> HttpResponseBase:
    etag = f'"{digest}"'
    headers = {
        "Content-Type": mime,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }
    bare = HttpResponse(headers=headers)
    conditional = get_conditional_response(request, etag=etag, response=bare)
    if conditional is not None and conditional is not bare:
        return conditional
    size, asked = len(sample), request.headers
    try:
        wanted = wanted_bytes(
            asked.get("Range", ""), size, if_range=asked.get("If-Range", ""), etag=etag
        )
    except RangeError:
        return _plain(416, _("所请求的范围无效"), **{"Content-Range": f"bytes */{size}"})
    first, end = wanted or (0, size)
    headers["Content-Length"] = str(end - first)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    body = b"" if request.method == "HEAD" else sample[first:end]
    return HttpResponse(body, headers=headers, status=206 if wanted else 200)


def _plain(status: int, text: str, **headers: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain", headers=headers)
