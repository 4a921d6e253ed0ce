"""How large a request's body may be, decided before the first byte of it is kept.

Django's ASGI handler writes the whole body to a temporary file before any middleware or view
runs, so a limit in those would come after the disk is full.
"""

import io
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.utils import translation

from accounts.openai_http import failure as openai_failure
from accounts.openai_http import is_openai
from config.envelope import failure
from voice.transcription_endpoint import MAX_BYTES

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_FILES_BELOW = ("/api/upload_voice", "/admin/")
_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_FRAMING = 64 * 1024  # boundaries, part headers and small fields around the file itself


def body_limit(path: str) -> int:
    """The most bytes that a body to this path may have."""
    if path == _TRANSCRIPTIONS:
        return MAX_BYTES + _FRAMING
    if path.startswith(_FILES_BELOW):
        return int(settings.UPLOAD_MAX_BYTES) + _FRAMING
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


class BodyLimit:
    """ASGI middleware: 413 for a body above ``body_limit``, at the header where it tells.

    A body of undeclared length (chunked) is read here, up to the limit, and handed on with
    its length: Django and REST framework take a request without one for empty.
    The rest of a refused body is left to the server, which drops it as it comes in. The
    connection stays: closing it would reset it under a client that still sends, which then
    never reads why.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self.app(scope, receive, send)
        limit = body_limit(scope["path"])
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if lengths:
            if int(lengths[0]) > limit:
                return await _refuse(scope, send)
            return await self.app(scope, receive, send)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > limit:
                return await _refuse(scope, send)
            more = message.get("more_body", False)
        headers = [*scope["headers"], (b"content-length", str(len(body)).encode())]
        whole = iter([{"type": "http.request", "body": bytes(body), "more_body": False}])

        async def replay() -> Mapping[str, Any]:
            message = next(whole, None)
            return await receive() if message is None else message

        return await self.app({**scope, "headers": headers}, replay, send)


async def _refuse(scope: Scope, send: Send) -> None:
    logger.info("refused a body that is too large", extra={"path": scope["path"]})
    if is_openai(scope["path"]):
        response = openai_failure(413).response()
    else:
        request = ASGIRequest({**scope, "query_string": b""}, io.BytesIO())
        with translation.override(translation.get_language_from_request(request)):
            response = failure(413)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(response.content)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", uuid.uuid4().hex.encode()),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
