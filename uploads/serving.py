"""``GET /uploads/<token>.<ext>``: the file, public to whoever knows its token.

One way for disk and S3: the bytes come through the platform, so that the headers, the range
and the row's word on what exists hold for both.
"""

import logging
from collections.abc import AsyncIterator

from django.core.files.base import File
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from uploads.models import AudioFile
from uploads.selectors import MIME_TYPES, parse_name
from voice import storage
from voice.audio.ranges import RangeError, wanted_bytes

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024


async def serve(request: HttpRequest, name: str) -> HttpResponseBase:
    """A stored file, whole or in part; its type follows from its extension alone."""
    if request.method not in ("GET", "HEAD"):
        return _plain(405, _("不支持的请求方法"), Allow="GET, HEAD")
    parsed = parse_name(name)
    rows = AudioFile.objects.filter(token=parsed[0], extension=parsed[1]) if parsed else None
    size = await rows.values_list("size", flat=True).afirst() if rows is not None else None
    if parsed is None or size is None:
        return _plain(404, _("资源不存在"))
    token, extension = parsed
    etag = f'"{token}"'
    headers = {
        "Content-Type": MIME_TYPES[extension],
        "Content-Disposition": f'inline; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=86400, immutable",
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }
    bare = HttpResponse(headers=headers)
    conditional = get_conditional_response(request, etag=etag, response=bare)
    if conditional is not None and conditional is not bare:
        return conditional
    try:
        wanted = wanted_bytes(
            request.headers.get("Range", ""),
            size,
            if_range=request.headers.get("If-Range", ""),
            etag=etag,
        )
    except RangeError:
        return _plain(416, _("所请求的范围无效"), **{"Content-Range": f"bytes */{size}"})
    first, end = wanted or (0, size)
    headers["Content-Length"] = str(end - first)
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return HttpResponse(headers=headers, status=status)
    try:
        file = await storage.open_at(name, first)
    except storage.FileMissing:
        logger.warning("audio %s has a row but no file", name)
        return _plain(404, _("资源不存在"))
    except storage.StorageError:
        logger.exception("audio %s cannot be read", name)
        return _plain(503, _("服务暂不可用"))
    return StreamingHttpResponse(_pieces(file, end - first), headers=headers, status=status)


async def _pieces(file: File[bytes], size: int) -> AsyncIterator[bytes]:
    try:
        while size > 0:
            piece = await storage.read_some(file, min(size, _CHUNK))
            if not piece:
                raise storage.StorageError(f"{size} bytes are missing at the end")
            size -= len(piece)
            yield piece
    finally:
        file.close()


def _plain(status: int, text: str, **headers: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain", headers=headers)
