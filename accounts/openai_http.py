"""The frame of all that is below ``/v1``: who asks, how errors are told, how answers stream.

OpenAI's own forms, for programs that were written for them. Views are coroutines on the
event loop of the process: nothing here or in them may block it.
"""

import functools
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse

from accounts import quotas
from accounts.credentials import Credential, credential_of
from accounts.database import in_database_thread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Answer = Coroutine[Any, Any, HttpResponseBase]
View = Callable[Concatenate[HttpRequest, Credential, P], Answer]
Handler = Callable[Concatenate[HttpRequest, P], Answer]

_KINDS = {403: "permission_error", 429: "rate_limit_error"}


def is_openai(path: str) -> bool:
    """Whether a path speaks OpenAI's protocol."""
    return path == "/v1" or path.startswith("/v1/")


class ApiError(Exception):
    """A request that is answered with OpenAI's error object.

    Args:
        status: Of HTTP.
        message: For the one who writes the client.
        code: OpenAI's name of the error, where it has one.
        param: The field at fault.
        kind: ``type`` of the error; empty takes that of the status.
        headers: To be sent with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind or _KINDS.get(
            status, "server_error" if status >= 500 else "invalid_request_error"
        )
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The error object, as it also stands in an event of a stream."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> JsonResponse:
        """The answer."""
        return JsonResponse(self.body(), status=self.status, headers=self.headers)


class BrokenStream(Exception):
    """An answer that had begun cannot be ended in order: the connection is to be cut.

    Bytes that say so would be taken for a part of the answer.
    """


class Stream(StreamingHttpResponse):
    """An answer whose pieces go out one by one, as an async generator gives them.

    The generator is closed at the very moment the client goes. Make it by ``begin``.
    """

    def __init__(self, pieces: "_Begun", content_type: str, headers: Mapping[str, str]) -> None:
        # Proxies may gather pieces; this keeps nginx from it.
        unbuffered = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}
        super().__init__(pieces, content_type=content_type, headers={**unbuffered, **headers})
        self._pieces = pieces

    @classmethod
    async def begin(
        cls,
        pieces: AsyncGenerator[bytes, None],
        content_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> "Stream":
        """Wait for the first piece: what fails before it has a status of its own.

        Raises:
            Exception: Whatever the generator raises before it gives anything.
        """
        return cls(_Begun(await anext(pieces, b""), pieces), content_type, headers or {})

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Django's would wrap it twice, and leave its closing to the garbage collector.
        return self._pieces


class _Begun:
    """An async generator whose first piece is known. Closed, the generator is."""

    def __init__(self, first: bytes, pieces: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._pieces) if first is None else first

    async def aclose(self) -> None:
        await self._pieces.aclose()


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def endpoint(method: str, *, budgets: Collection[str] = ()) -> Callable[[View[P]], Handler[P]]:
    """Make a view of a coroutine that takes the request and who makes it.

    Args:
        method: The one it answers to; ``HEAD`` goes with ``GET``.
        budgets: Those of the caller's quota of which something must be left.
    """
    allowed = ("GET", "HEAD") if method == "GET" else (method,)

    def decorate(view: View[P]) -> Handler[P]:
        @functools.wraps(view)
        async def handle(
            request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            try:
                if request.method not in allowed:
                    raise _wrong_method(request, allowed)
                credential = await in_database_thread(_admit, _key_of(request), budgets)
                return await view(request, credential, *args, **kwargs)
            except ApiError as error:
                return error.response()
            except Exception:
                logger.exception("unhandled error", extra={"path": request.path})
                return failure(500).response()

        return handle

    return decorate


def failure(status: int, *, method: str | None = "", path: str = "") -> ApiError:
    """The error of a status that needs no further words."""
    if status == 404:
        return ApiError(404, f"Invalid URL ({method} {path})", code="not_found")
    message = {
        400: "The request could not be understood.",
        403: "You are not allowed to do this.",
        405: "This method is not allowed here.",
        413: "The request is too large.",
        500: "The server had an error while processing your request.",
    }.get(status, "The server is not available at the moment.")
    code = {413: "request_too_large", 500: "server_error"}.get(status)
    return ApiError(status, message, code=code)


async def unknown(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """The view of every path below ``/v1`` that there is not."""
    return failure(404, method=request.method, path=request.path).response()


def _wrong_method(request: HttpRequest, allowed: tuple[str, ...]) -> ApiError:
    message = f"Not allowed to {request.method} on {request.path}"
    headers = {"Allow": ", ".join(allowed)}
    return ApiError(405, message, code="method_not_allowed", headers=headers)


def _key_of(request: HttpRequest) -> str:
    """The credential of a request as it was sent; empty where there is none."""
    scheme, _sep, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    key = request.headers.get("X-API-Key") or request.headers.get("api-key") or ""
    return key.strip()


def _admit(raw: str, budgets: Collection[str]) -> Credential:
    """Whose key it is. Raises ApiError where it is nobody's, or may do no more for now."""
    credential = credential_of(raw) if raw else None
    if credential is None:
        raise no_key(raw)
    check_quota(credential, budgets)
    return credential


def no_key(raw: str, message: str = "") -> ApiError:
    """The refusal of a credential: one that is nobody's, or (empty) none at all.

    Args:
        raw: As it was shown.
        message: What is wrong with it, where that is something else.
    """
    refused = {"WWW-Authenticate": 'Bearer realm="api"'}
    message = message or "Incorrect API key provided. It may have been revoked or have expired."
    if not raw:
        message = (
            "You didn't provide an API key. Send it in the Authorization header: Bearer YOUR_KEY."
        )
    return ApiError(401, message, code="invalid_api_key", headers=refused)


def check_quota(credential: Credential, budgets: Collection[str]) -> None:
    """Count a request; for a thread of the database. Raises ApiError (429) for one too many."""
    try:
        quotas.check(credential, budgets)
    except quotas.QuotaSpent as error:
        raise ApiError(
            429,
            f"You exceeded your current quota: {error}.",
            code="insufficient_quota",
            kind="insufficient_quota",
            # OpenAI's clients would ask again at once.
            headers={"Retry-After": str(error.retry_after), "x-should-retry": "false"},
        ) from error
    except quotas.RateExceeded as error:
        raise ApiError(
            429,
            f"Rate limit reached: {error}.",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(error.retry_after)},
        ) from error
