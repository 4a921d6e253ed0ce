"""HTTP for clients of httpx2, by aiohttp's connections and its parser in C.

httpx2's own transport passes each piece of a stream through three libraries in Python, and
looks at every idle connection with each request. A reply streamed in 64 pieces costs 20 ms of
CPU with it and 14 ms with this one; 20 at once 10 and 5 ms each.
"""

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
from yarl import URL

from voice.http_patience import patient, pieces

_KEEPALIVE_SECONDS = 60  # people pause between turns; a TLS handshake costs two round trips


@functools.cache
def certificates() -> ssl.SSLContext:
    """The authorities that are trusted. Reading them takes some 40 ms: once a process."""
    return httpx2.create_ssl_context()


# The first that fits. Each has its counterpart in what httpx2 promises to raise.
_MEANINGS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.SocketTimeoutError, httpx2.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientError, httpx2.RemoteProtocolError),
    (OSError, httpx2.ReadError),
)


@dataclass(slots=True)
class _Place:
    """A request's place in the pool."""

    awaited: bool = False


def _traces() -> aiohttp.TraceConfig:
    """Notes who waits for a place: one error of aiohttp's stands for that and for connecting."""

    async def queued(_: object, context: Any, __: object) -> None:
        context.trace_request_ctx.awaited = True

    async def served(_: object, context: Any, __: object) -> None:
        context.trace_request_ctx.awaited = False

    traces = aiohttp.TraceConfig()
    traces.on_connection_queued_start.append(queued)
    traces.on_connection_queued_end.append(served)
    return traces


@contextlib.contextmanager
def _translated(place: _Place | None = None) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        if place and place.awaited:
            raise httpx2.PoolTimeout("all connections are in use") from error
        meaning = next(ours for theirs, ours in _MEANINGS if isinstance(error, theirs))
        raise meaning(str(error) or type(error).__name__) from error


class _Body(httpx2.AsyncByteStream):
    """The body of an answer as it comes in; closed early, the connection goes with it."""

    def __init__(self, response: aiohttp.ClientResponse, patience: float | None) -> None:
        self._response = response
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for piece in pieces(self._response.content, self._patience):
                yield piece

    async def aclose(self) -> None:
        # Does nothing where the body was read to its end: the connection is idle by then.
        self._response.close()


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One pool of connections. Belongs to the event loop in which it is first used.

    Args:
        max_connections: At once; a further request waits for as long as its pool timeout.
    """

    def __init__(self, *, max_connections: int) -> None:
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; its answer's body is still to be read.

        Raises:
            httpx2.TransportError: No answer was had, or it broke off.
        """
        wanted = request.extensions.get("timeout", {})
        phases = [wanted.get("pool"), wanted.get("connect"), wanted.get("read")]
        longest = None if None in phases else sum(phases)
        place = _Place()
        with _translated(place):
            async with patient(longest):
                response = await self._opened().request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=request.headers.multi_items(),
                    data=await request.aread(),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(
                        total=None,
                        connect=wanted.get("pool"),
                        sock_connect=wanted.get("connect"),
                    ),
                    trace_request_ctx=place,
                )
        body = _Body(response, wanted.get("read"))
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=body, request=request
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections,
                    keepalive_timeout=_KEEPALIVE_SECONDS,
                    ssl=certificates(),
                ),
                trace_configs=[_traces()],
                auto_decompress=False,  # httpx2 does that
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
