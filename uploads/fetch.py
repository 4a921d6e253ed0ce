"""The one door to URLs that a client names. No other code fetches foreign URLs.

Every hop is parsed once, resolved once and connected to that very address, which must be global
unicast. httpcore is used below httpx because its network backend is the public seam between a
name and a socket: TLS still verifies, and announces, the name. Why own code and not a library:
``docs/adr/0008-safe-fetcher.md``.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal

import httpcore
import httpx
from django.utils.translation import gettext_noop

from uploads.addresses import is_global_unicast

logger = logging.getLogger(__name__)

Reason = Literal[
    "bad_url",
    "forbidden_address",
    "forbidden_host",
    "switched_off",
    "too_large",
    "timeout",
    "unreachable",
    "bad_status",
    "too_many_redirects",
]
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_UNREACHABLE = gettext_noop("无法访问该网址")
# A forbidden and an unreachable address read alike: the difference would map the inner network.
MESSAGES: Final[dict[Reason, str]] = {
    "bad_url": gettext_noop("网址无效"),
    "forbidden_address": _UNREACHABLE,
    "forbidden_host": gettext_noop("不允许访问该网站"),
    "switched_off": gettext_noop("不允许使用外部网址"),
    "too_large": gettext_noop("文件过大"),
    "timeout": gettext_noop("访问该网址超时"),
    "unreachable": _UNREACHABLE,
    "bad_status": gettext_noop("该网址没有返回文件"),
    "too_many_redirects": gettext_noop("重定向次数过多"),
}

_MAX_URL_LENGTH = 4096
# The connect timeout is per attempt, and a hostile zone may answer with hundreds of addresses.
_MAX_ATTEMPTS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
# Such a host is an IPv4 address to the resolver (2130706433, 0x7f.1, 127.1), never a name.
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")


class FetchError(Exception):
    """A URL was not fetched.

    ``str(error)`` is for the client: one of ``MESSAGES``, in Chinese, without a trace of what was
    found on the way. ``reason`` and ``__cause__`` are for logs: showing a client the difference
    between ``forbidden_address`` and ``unreachable`` tells which inner names exist.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(MESSAGES[reason])
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and how much of it.

    Attributes:
        allow_foreign: False refuses every URL.
        allowed_hosts: Host names, or ``.example.com`` for a name with all its subdomains. Empty
            means every host. A listed host must still have a global address.
        max_bytes: Largest body, in bytes.
        total_seconds: Deadline of the whole fetch, name lookups and redirects included.
        connect_seconds: Deadline of one attempt to connect; up to 4 addresses are tried.
        max_redirects: Redirects followed; each is checked as the first URL was.
        allowed_ports: Ports that a URL may name or imply.

    Raises:
        ValueError: an entry of ``allowed_hosts`` is not a host name.
    """

    allow_foreign: bool
    allowed_hosts: frozenset[str] = frozenset()
    max_bytes: int = 10 * 1024 * 1024
    total_seconds: float = 20.0
    connect_seconds: float = 5.0
    max_redirects: int = 3
    allowed_ports: frozenset[int] = frozenset({80, 443})

    def __post_init__(self) -> None:
        hosts: set[str] = set()
        for entry in self.allowed_hosts:
            try:
                host = _host(httpx.URL(scheme="http", host=entry.removeprefix(".")))
            except (httpx.InvalidURL, FetchError) as error:
                raise ValueError(f"not a host name: {entry!r}") from error
            hosts.add("." + host if entry.startswith(".") else host)
        object.__setattr__(self, "allowed_hosts", frozenset(hosts))

    def allows_host(self, host: str) -> bool:
        """Whether a host (lower case, IDNA-encoded, no trailing dot) may be asked at all."""
        if not self.allowed_hosts or host in self.allowed_hosts:
            return True
        return any(
            entry.startswith(".") and ("." + host).endswith(entry) for entry in self.allowed_hosts
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body that came with status 200; it may be empty.

    Attributes:
        body: The bytes as sent, never decompressed.
        url: Where they came from, after redirects.
        content_type: The server's claim, or an empty string. Never trust it.
    """

    body: bytes
    url: str
    content_type: str


class SafeFetcher:
    """Fetches URLs that a client names. One instance serves a process; calls may overlap.

    Nothing is kept between calls: no connection, cookie or answer. Proxies, ``.netrc`` and
    certificate settings of the environment are ignored.

    Args:
        policy: What may be fetched.
        resolve: Gives the addresses of a name and port. Every answer is checked.
        network: Opens sockets to checked addresses. Tests lead public addresses to loopback
            servers here, so that no check has a switch that turns it off.
        ssl_context: Trusted authorities; certifi's by default.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolve: Resolver | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.policy = policy
        self._resolve = resolve or _SystemResolver()
        self._network = network or httpcore.AnyIOBackend()
        self._ssl_context = ssl_context or httpx.create_ssl_context(trust_env=False)

    async def fetch(self, url: str) -> Fetched:
        """GET a URL, following redirects.

        The caller may cancel at any time; the socket is closed.

        Raises:
            FetchError: with the reason. Nothing else is raised for any URL or any server.
        """
        if not self.policy.allow_foreign:
            raise FetchError("switched_off")
        try:
            async with asyncio.timeout(self.policy.total_seconds):
                return await self._follow(_parse(url))
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise FetchError("timeout") from error
        except (OSError, httpcore.NetworkError) as error:
            raise FetchError("unreachable") from error
        except httpcore.ProtocolError as error:
            raise FetchError("bad_status") from error

    async def _follow(self, url: httpx.URL) -> Fetched:
        for _ in range(self.policy.max_redirects + 1):
            addresses = await self._admit(url)
            answer = await self._get(url, addresses)
            if isinstance(answer, Fetched):
                return answer
            if url.scheme == "https" and answer.scheme == "http":
                raise FetchError("bad_url")
            url = answer
        raise FetchError("too_many_redirects")

    async def _admit(self, url: httpx.URL) -> list[str]:
        """The addresses to connect to: all of the name's, and each of them global unicast."""
        host, port = url.raw_host.decode("ascii"), _port(url)
        if port not in self.policy.allowed_ports:
            raise FetchError("bad_url")
        if not self.policy.allows_host(host):
            raise FetchError("forbidden_host")
        literal = _literal(host)
        found = [host] if literal else await self._resolve(host, port)
        addresses = [ip_address(address) for address in found]
        # A name with public and private addresses is refused whole: no honest server needs it.
        if not all(is_global_unicast(address) for address in addresses):
            logger.warning("refused a URL: %s is at %s", host, ", ".join(found))
            raise FetchError("forbidden_address")
        if not addresses:
            raise FetchError("unreachable")
        return [str(address) for address in addresses]

    async def _get(self, url: httpx.URL, addresses: Sequence[str]) -> Fetched | httpx.URL:
        """The file, or the URL that the server points to."""
        headers = [
            (b"Host", url.netloc),
            (b"User-Agent", b"Liyuan"),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=_port(url), target=url.raw_path
        )
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._ssl_context, network_backend=_Pinned(addresses, self._network)
            ) as pool,
            pool.stream(
                "GET",
                target,
                headers=headers,
                extensions={"timeout": {"connect": self.policy.connect_seconds}},
            ) as response,
        ):
            received = httpx.Headers(response.headers)
            if response.status in _REDIRECTS and "location" in received:
                return _parse(received["location"], base=url)
            # A server that compresses against our wish could send a bomb.
            if response.status != 200 or received.get("content-encoding", "identity") != "identity":
                raise FetchError("bad_status")
            body = await self._body(response, received)
            return Fetched(body, str(url), received.get("content-type", ""))

    async def _body(self, response: httpcore.Response, headers: httpx.Headers) -> bytes:
        # Refuses early what says it is too large; what it says is not relied on. The protocol
        # layer has made sure that it is a number.
        if int(headers.get("content-length", "0")) > self.policy.max_bytes:
            raise FetchError("too_large")
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > self.policy.max_bytes:
                raise FetchError("too_large")
        return bytes(body)


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the checked addresses, whatever name it is asked for."""

    def __init__(self, addresses: Sequence[str], network: httpcore.AsyncNetworkBackend) -> None:
        self._addresses = addresses[:_MAX_ATTEMPTS]
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")


class _SystemResolver:
    """The system's lookup, in threads of its own.

    A lookup in a thread cannot be cancelled, and a hostile name server can hold it for many
    seconds: in the loop's default executor a few of them would stop everything else.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL with a checked scheme and host; everything later reads this one parse."""
    if len(text) > _MAX_URL_LENGTH or re.search(r"[\x00-\x20\x7f\\]", text):
        raise FetchError("bad_url")
    try:
        url = base.join(text) if base else httpx.URL(text)
        if url.scheme not in ("http", "https") or url.userinfo:
            raise FetchError("bad_url")
        return url.copy_with(host=_host(url), fragment=None)
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: a lone surrogate, bad IDNA
        raise FetchError("bad_url") from error


def _host(url: httpx.URL) -> str:
    """The URL's host: an address, or a name in lower case, IDNA-encoded, without trailing dot."""
    host = url.raw_host.decode("ascii").removesuffix(".")
    literal = _literal(host)
    if literal is None and (not _NAME.fullmatch(host) or _NUMERIC.fullmatch(host)):
        raise FetchError("bad_url")
    return host


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _port(url: httpx.URL) -> int:
    return (443 if url.scheme == "https" else 80) if url.port is None else url.port
