"""``/metrics``: the figures of all processes in Prometheus' text format, for the operator alone.

Answered before Django: a scraper calls the process by whatever name its network has for it,
by plain HTTP, and that name need not be among ALLOWED_HOSTS.
"""

import asyncio
import hmac
import ipaddress
import logging

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError

from config.metrics import process
from config.metrics.exchange import Report, merged
from config.metrics.requests import Application, Receive, Scope, Send, note

logger = logging.getLogger(__name__)

PATH = "/metrics"
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"})
_LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]
_TEXT = b"text/plain; charset=utf-8"
_COMPLETE = """\
# HELP liyuan_metrics_complete 1: the figures of all processes are here; 0: those of this one alone
# TYPE liyuan_metrics_complete gauge
liyuan_metrics_complete {}
"""


class MetricsEndpoint:
    """ASGI middleware that answers PATH itself.

    With METRICS_TOKEN it wants that token as a bearer (401). Without one it answers callers
    of METRICS_NETWORKS that come directly; for all others it does not exist (404). Whatever
    came through a proxy has the proxy's address, so that a token is the only way then.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        note(scope, PATH)
        status = _verdict(scope)
        headers = [(b"content-type", _TEXT)]
        if status == 200:
            body = await asyncio.to_thread(_exposition)
            headers = [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        else:
            body = {401: b"unauthorized\n", 404: b"not found\n", 405: b"GET alone\n"}[status]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        headers.append((b"content-length", str(len(body)).encode()))
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _verdict(scope: Scope) -> int:
    """The status of the answer."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if settings.METRICS_TOKEN:
        scheme, _blank, token = headers.get(b"authorization", b"").partition(b" ")
        same = hmac.compare_digest(token.strip(), settings.METRICS_TOKEN.encode())
        if scheme.lower() != b"bearer" or not same:
            return 401
    elif not _is_near(scope, headers):
        return 404
    return 200 if scope["method"] in ("GET", "HEAD") else 405


def _is_near(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    if not scope.get("client") or not _FORWARDED.isdisjoint(headers):
        return False
    try:
        peer = ipaddress.ip_address(scope["client"][0])
    except ValueError:  # a name, of a server that does not say its callers' addresses
        return False
    if peer.version == 6 and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    if peer.is_loopback and not _is_called_loopback(headers):
        return False
    return any(peer in network for network in settings.METRICS_NETWORKS)


def _is_called_loopback(headers: dict[bytes, bytes]) -> bool:
    """A page elsewhere may have its name resolved to 127.0.0.1; its scripts are no operator."""
    host, _port = split_domain_port(headers.get(b"host", b"").decode("latin-1"))
    return validate_host(host, [*_LOOPBACK_NAMES, *settings.ALLOWED_HOSTS])


def _exposition() -> bytes:
    others: list[Report] = []
    complete = 1
    try:
        others = process.others()
    except RedisError as error:
        logger.warning("metrics of the other processes cannot be had: %s", error)
        complete = 0
    return (merged([process.own(), *others]) + _COMPLETE.format(complete)).encode()
