"""Requests and sockets in figures, taken where the server hands them over."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from prometheus_client import Counter, Gauge, Histogram

from chat import loop_lag
from chat.routing import websocket_urlpatterns
from config.metrics import process
from config.sockets import REALTIME

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY = "liyuan.seen"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHANNELS = {
    f"/{pattern.pattern}": pattern.callback.consumer_class.channel
    for pattern in websocket_urlpatterns
} | {REALTIME: "realtime"}
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SESSIONS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

_requests = Counter(
    "liyuan_http_requests",
    "HTTP requests answered; 499 where the client went before the answer began",
    ["route", "method", "status"],
)
_first = Histogram(
    "liyuan_http_first_byte_seconds",
    "From an HTTP request to the first piece of an answer that came in several",
    ["route"],
    buckets=_SECONDS,
)
_whole = Histogram(
    "liyuan_http_request_seconds",
    "From an HTTP request to the last byte of its answer",
    ["route", "method"],
    buckets=_SECONDS,
)
_active = Gauge("liyuan_http_requests_active", "HTTP requests that are being answered now")
_handshakes = Counter(
    "liyuan_socket_handshakes",
    "Handshakes of WebSockets: 101 where the socket was opened, else the status of the refusal",
    ["channel", "status"],
)
_open = Gauge("liyuan_sockets_open", "WebSockets that are open now", ["channel"])
_sessions = Histogram(
    "liyuan_socket_session_seconds",
    "How long a WebSocket was open",
    ["channel"],
    buckets=_SESSIONS,
)


@dataclass(slots=True)
class _Seen:
    """What is known of a request so far."""

    begun: float
    route: str = "unmatched"
    status: str = "499"
    flows: bool = False


class Measured:
    """ASGI middleware: counts and times what passes, and changes nothing.

    With the first thing that passes (the lifespan, where the server has one) the process
    begins to report, and its event loop to be watched.
    """

    def __init__(self, app: Application) -> None:
        self.app = app
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._begun:
            self._begun = True
            process.start("web")
            loop_lag.watch("web")
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = scope[_KEY] = _Seen(time.perf_counter())

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = str(message["status"])
            elif message.get("more_body") and not seen.flows:
                seen.flows = True
                _first.labels(seen.route).observe(time.perf_counter() - seen.begun)
            await send(message)

        _active.inc()
        try:
            await self.app(scope, receive, watched)
        finally:
            _active.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _requests.labels(seen.route, method, seen.status).inc()
            _whole.labels(seen.route, method).observe(time.perf_counter() - seen.begun)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = _CHANNELS.get(scope["path"], "unmatched")
        opened = 0.0

        async def watched(message: Message) -> None:
            nonlocal opened
            kind = message["type"]
            if kind == "websocket.accept":
                opened = time.perf_counter()
                _handshakes.labels(channel, "101").inc()
                _open.labels(channel).inc()
            elif kind == "websocket.http.response.start":
                _handshakes.labels(channel, str(message["status"])).inc()
            elif kind == "websocket.close" and not opened:
                # The server answers with a status of its own.
                _handshakes.labels(channel, "403").inc()
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if opened:
                _open.labels(channel).dec()
                _sessions.labels(channel).observe(time.perf_counter() - opened)


def note(scope: Mapping[str, Any], route: str) -> None:
    """Tell the figures by which route a request is answered."""
    seen: _Seen | None = scope.get(_KEY)
    if seen is not None:
        seen.route = route


def note_route(request: HttpRequest) -> None:
    """The same of a request for which Django has found the view, if there is one."""
    if isinstance(request, ASGIRequest):
        note(request.scope, _route(request))


def _route(request: HttpRequest) -> str:
    """The pattern of the path, never the path itself: there are only so many of those."""
    if request.resolver_match is not None:
        route = request.resolver_match.route
        return "/admin/" if route.startswith("admin/") else f"/{route}"
    return settings.STATIC_URL if request.path.startswith(settings.STATIC_URL) else "unmatched"
