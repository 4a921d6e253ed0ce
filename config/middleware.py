"""Middleware: the request's id in the log, and API errors that never are HTML."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.openai_http import failure as openai_failure
from accounts.openai_http import is_openai
from config.envelope import failure
from config.metrics.requests import note_route

logger = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContextMiddleware:
    """Gives each request an id (``X-Request-ID``, the caller's where it is well formed).

    Logs method, path, status and milliseconds; never the query string, which may carry
    a ticket, nor headers.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        begun = time.perf_counter()
        response = await self.get_response(request)
        note_route(request)
        response.headers["X-Request-ID"] = request_id
        logger.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            ms=round((time.perf_counter() - begun) * 1000, 1),
        )
        return response


class ApiGuardMiddleware:
    """Rewrites any error below ``/api/`` or ``/v1`` that is not JSON into their forms.

    Unknown paths, wrong methods outside DRF, a bad Host header and failures of other
    middleware would else answer in HTML.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self.get_response(request)
        if response.status_code < 400:
            return response
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        if is_openai(request.path):
            error = openai_failure(response.status_code, method=request.method, path=request.path)
            return error.response()
        return failure(response.status_code) if request.path.startswith("/api/") else response


class AdminTimeZoneMiddleware:
    """The admin shows the operator's time; everything else speaks UTC."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/admin/"):
            return await self.get_response(request)
        with timezone.override(settings.ADMIN_TIME_ZONE):
            return await self.get_response(request)
