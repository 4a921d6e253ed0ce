"""The attack list on the safe fetcher.

Servers are real sockets on loopback. The address and port checks are the production ones: names
get public addresses from the test's resolver, and only the last step, opening the socket, leads
such an address to a loopback server. What is not routed is recorded and goes nowhere.
"""

import asyncio
import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, get_args

import httpcore
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from uploads.addresses import is_global_unicast
from uploads.fetch import MESSAGES, Fetched, FetchError, FetchPolicy, Reason, SafeFetcher

PUBLIC = "93.184.215.14"
PUBLIC6 = "2606:4700:4700::1111"
CA = trustme.CA()
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class World(httpcore.AnyIOBackend):
    """A small internet: names with successive answers, addresses with loopback servers."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.lookups: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.routes: dict[tuple[str, int], int] = {}
        self.requests: list[bytes] = []
        self.server_names: list[str | None] = []
        self.hung_up = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.lookups.append(host)
        answers = self.names.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        if (host, port) not in self.routes:
            raise httpcore.ConnectError("nobody is there")
        return await super().connect_tcp("127.0.0.1", self.routes[host, port], timeout)

    async def serve(
        self,
        answer: bytes | Handler,
        host: str = "good.test",
        address: str = PUBLIC,
        certificate: trustme.LeafCert | None = None,
    ) -> None:
        """Puts a server behind a name, a public address, and port 80 or (with TLS) 443."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.hung_up.set()
            finally:
                writer.close()

        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            context.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        self.names.setdefault(host, [[address]])
        self.routes[address, 443 if certificate else 80] = server.sockets[0].getsockname()[1]

    def fetcher(self, **policy: Any) -> SafeFetcher:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        CA.configure_trust(context)
        return SafeFetcher(
            FetchPolicy(**{"allow_foreign": True, "total_seconds": 5.0, **policy}),
            resolve=self.resolve,
            network=self,
            ssl_context=context,
        )

    async def fetch(self, url: str = "http://good.test/a.mp3", **policy: Any) -> Fetched:
        return await self.fetcher(**policy).fetch(url)

    async def refuses(self, url: str = "http://good.test/a.mp3", **policy: Any) -> Reason:
        with pytest.raises(FetchError) as caught:
            await self.fetch(url, **policy)
        assert str(caught.value) == MESSAGES[caught.value.reason]
        return caught.value.reason

    async def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def ok(body: bytes = b"sound", *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", "Content-Type: audio/mpeg", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def to(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\r\n".encode()


# What is fetched -------------------------------------------------------------------------


async def test_fetches_from_the_resolved_address(world: World) -> None:
    await world.serve(ok())
    fetched = await world.fetch("http://good.test/a%20b.mp3?token=1#part")
    assert fetched == Fetched(b"sound", "http://good.test/a%20b.mp3?token=1", "audio/mpeg")
    assert world.lookups == ["good.test"]
    assert world.dialled == [(PUBLIC, 80)]


async def test_the_request_is_a_bare_get(world: World) -> None:
    await world.serve(ok())
    await world.fetch()
    assert world.requests == [
        b"GET /a.mp3 HTTP/1.1\r\nHost: good.test\r\nUser-Agent: Liyuan\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "url",
    ["http://good.test:80/a", "http://good.test:８０/", "http://GOOD.test./a", "http://good.test"],
)
async def test_spellings_of_one_host(world: World, url: str) -> None:
    await world.serve(ok())
    assert (await world.fetch(url)).body == b"sound"
    assert b"Host: good.test\r\n" in world.requests[0]
    assert world.lookups == ["good.test"]


async def test_chinese_host_and_path(world: World) -> None:
    await world.serve(ok(), host="xn--fsqu00a.xn--0zwm56d")
    await world.fetch("http://例子。测试/录音.mp3")
    assert world.requests[0].startswith(b"GET /%E5%BD%95%E9%9F%B3.mp3 ")
    assert b"Host: xn--fsqu00a.xn--0zwm56d\r\n" in world.requests[0]


@pytest.mark.parametrize(
    ("address", "host"),
    [(PUBLIC, PUBLIC), (PUBLIC6, f"[{PUBLIC6}]"), ("64:ff9b::808:808", "[64:ff9b::8.8.8.8]")],
)
async def test_public_literals(world: World, address: str, host: str) -> None:
    await world.serve(ok(), address=address)
    assert (await world.fetch(f"http://{host}/")).body == b"sound"
    assert world.lookups == []
    assert world.dialled == [(address, 80)]


async def test_empty_file(world: World) -> None:
    await world.serve(ok(b""))
    assert (await world.fetch()).body == b""


async def test_chunked_body(world: World) -> None:
    await world.serve(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsou\r\n2\r\nnd\r\n0\r\n\r\n"
    )
    assert (await world.fetch()).body == b"sound"


async def test_a_dead_address_is_passed_over(world: World) -> None:
    await world.serve(ok())
    world.names["good.test"] = [[PUBLIC6, PUBLIC]]
    assert (await world.fetch()).body == b"sound"
    assert world.dialled == [(PUBLIC6, 80), (PUBLIC, 80)]


async def test_only_a_few_of_many_addresses_are_tried(world: World) -> None:
    world.names["many.test"] = [[f"93.184.215.{i}" for i in range(200)]]
    assert await world.refuses("http://many.test/") == "unreachable"
    assert len(world.dialled) == 4


async def test_fetches_overlap(world: World) -> None:
    await world.serve(ok(b"a"), "a.test", "93.184.215.1")
    await world.serve(ok(b"b"), "b.test", "93.184.215.2")
    fetcher = world.fetcher()
    both = await asyncio.gather(fetcher.fetch("http://a.test/"), fetcher.fetch("http://b.test/"))
    assert [fetched.body for fetched in both] == [b"a", b"b"]


# Addresses -------------------------------------------------------------------------------

FORBIDDEN_NETWORKS = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::7f00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b:1::/48",
    "100::/64",
    "200::/7",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "4000::/2",
    "5f00::/16",
    "8000::/1",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
LITERALS = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:93.184.215.14]",
    "[::127.0.0.1]",
    "[::ffff:0:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[2606:4700:4700::1111%25lo]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "127.0.0.1.",
    "127。0。0。1",
]


@pytest.mark.parametrize("host", LITERALS)
async def test_literal_inner_addresses(world: World, host: str) -> None:
    assert await world.refuses(f"http://{host}/") == "forbidden_address"
    assert world.dialled == []


@pytest.mark.parametrize("network", FORBIDDEN_NETWORKS)
def test_every_address_of_a_special_network_is_refused(network: str) -> None:
    @given(st.ip_addresses(network=network))
    def refused(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        assert not is_global_unicast(address)

    refused()
    whole = ipaddress.ip_network(network)
    assert not is_global_unicast(whole[0])
    assert not is_global_unicast(whole[-1])


@given(st.ip_addresses())
def test_whatever_python_calls_special_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = (
        not address.is_global
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    if special and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert not is_global_unicast(address)


@given(st.ip_addresses(v=4))
def test_an_inner_address_is_refused_in_every_wrapping(inner: ipaddress.IPv4Address) -> None:
    v4, v6 = int(inner), ipaddress.IPv6Address
    # NAT64's target is the inner address itself.
    assert is_global_unicast(v6((0x64FF9B << 96) | v4)) == is_global_unicast(inner)
    assert not is_global_unicast(v6((0xFFFF << 32) | v4))  # mapped
    assert not is_global_unicast(v6((0xFFFF << 48) | v4))  # translated
    assert not is_global_unicast(v6(v4))  # compatible
    assert not is_global_unicast(v6((0x2002 << 112) | (v4 << 80)))  # 6to4
    assert not is_global_unicast(v6((0x20010000 << 96) | (v4 ^ 0xFFFFFFFF)))  # Teredo


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        PUBLIC,
        "100.63.255.255",
        "100.128.0.0",
        "168.63.129.15",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        PUBLIC6,
        "2001:200::",
        "240e::1",
        "3ffe::1",
    ],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_global_unicast(ipaddress.ip_address(address))


# URLs ------------------------------------------------------------------------------------

BAD_URLS = [
    "",
    "/uploads/1.mp3",
    "//good.test/",
    "http:///a",
    "http://",
    "good.test/a.mp3",
    "ftp://good.test/",
    "file:///etc/passwd",
    "gopher://good.test/",
    "data:audio/mpeg;base64,AAAA",
    "javascript:alert(1)",
    "http+unix://%2Frun%2Fdocker.sock/",
    # ports and credentials
    "http://good.test:22/",
    "http://good.test:6379/",
    "http://good.test:8000/",
    "http://good.test:0/",
    "http://good.test:-80/",
    "http://good.test:65616/",
    "http://user:password@good.test/",
    "http://user@good.test/",
    "http://good.test@127.0.0.1/",
    f"http://{PUBLIC}\\@127.0.0.1/",
    f"http://127.0.0.1\\@{PUBLIC}/",
    # numbers that a resolver takes for an address
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0X7F.0.0.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://1.2.3.4.5/",
    "http://256.256.256.256/",
    "http://x.0x/",
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.０.０.１/",
    # malformed hosts
    "http://%31%32%37.0.0.1/",
    "http://good%2etest/",
    "http://good..test/",
    "http://.good.test/",
    "http://good.test../",
    "http://./",
    "http://good!.test/",
    "http://" + "a" * 64 + ".test/",
    "http://" + "a." * 130 + "test/",
    "http://[::1/",
    "http://[good.test]/",
    "http://[v1.fe]/",
    "http://[::ffff:127.1]/",
    # characters
    "http://good.test/\r\nX-Injected: 1",
    "http://good.test\t/",
    " http://good.test/",
    "http://good.test/a b",
    "http://good.test/\x00",
    "http://good.test/\ud800",
    "http://good.test/" + "a" * 5000,
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_bad_urls(world: World, url: str) -> None:
    await world.serve(ok())
    assert await world.refuses(url) == "bad_url"
    assert world.lookups == []
    assert world.dialled == []


async def test_what_stands_behind_a_hash_is_no_host(world: World) -> None:
    assert await world.refuses(f"http://127.0.0.1#@{PUBLIC}/") == "forbidden_address"


@given(st.text() | st.text().map("http://".__add__) | st.text(max_size=40).map("//".__add__))
def test_no_text_raises_anything_else(text: str) -> None:
    async def run() -> None:
        world = World()
        with pytest.raises(FetchError):
            await world.fetch(text)
        await world.serve(to(text.encode("utf-8", "replace").decode()))
        with pytest.raises(FetchError):
            await world.fetch()
        await world.close()

    asyncio.run(run())


# Names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.5"],
        ["::1"],
        ["::ffff:10.0.0.5"],
        ["fe80::1%2"],
        ["169.254.169.254"],
        [PUBLIC, "10.0.0.5"],
        ["10.0.0.5", PUBLIC],
        [PUBLIC, PUBLIC6, "fd00::1"],
    ],
)
async def test_names_with_an_inner_address(world: World, answer: list[str]) -> None:
    world.names["inner.test"] = [answer]
    assert await world.refuses("http://inner.test/") == "forbidden_address"
    assert await world.refuses("https://inner.test./") == "forbidden_address"
    assert world.dialled == []


async def test_rebinding_finds_no_second_lookup(world: World) -> None:
    await world.serve(ok())
    world.names["good.test"] = [[PUBLIC], ["127.0.0.1"]]
    assert (await world.fetch()).body == b"sound"
    assert world.lookups == ["good.test"]
    assert world.dialled == [(PUBLIC, 80)]


async def test_rebinding_between_redirects(world: World) -> None:
    await world.serve(to("/again"))
    world.names["good.test"] = [[PUBLIC], ["127.0.0.1"]]
    assert await world.refuses() == "forbidden_address"
    assert world.dialled == [(PUBLIC, 80)]


async def test_the_answer_does_not_tell_which_inner_names_exist(world: World) -> None:
    world.names |= {"inner.test": [["10.0.0.5"]], "dead.test": [[PUBLIC]], "none.test": [[]]}
    hosts = ["inner.test", "dead.test", "none.test", "missing.test", "10.0.0.5", "10.0.0.6"]
    told = set()
    for host in hosts:
        with pytest.raises(FetchError) as caught:
            await world.fetch(f"http://{host}/")
        told.add(str(caught.value))
    assert told == {MESSAGES["unreachable"]}


def test_every_reason_has_a_message() -> None:
    assert set(MESSAGES) == set(get_args(Reason))


async def test_the_system_resolver_is_checked_too(world: World) -> None:
    fetcher = SafeFetcher(FetchPolicy(allow_foreign=True), network=world)
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch("http://localhost/")
    assert caught.value.reason == "forbidden_address"
    assert world.dialled == []


async def test_hanging_lookups_stop_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30))
    fetcher = SafeFetcher(FetchPolicy(allow_foreign=True, total_seconds=0.3), network=world)
    try:
        fetches = [fetcher.fetch("http://slow.test/") for _ in range(40)]
        results = await asyncio.gather(*fetches, return_exceptions=True)
        assert {getattr(error, "reason", error) for error in results} == {"timeout"}
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 1) == "free"
    finally:
        release.set()


# The operator's switches -----------------------------------------------------------------


async def test_switched_off(world: World) -> None:
    await world.serve(ok())
    assert await world.refuses(allow_foreign=False) == "switched_off"
    assert world.lookups == []


@pytest.mark.parametrize(
    ("entry", "host", "allowed"),
    [
        ("good.test", "good.test", True),
        ("GOOD.test.", "good.test", True),
        ("good.test", "a.good.test", False),
        ("good.test", "evilgood.test", False),
        (".good.test", "a.b.good.test", True),
        (".good.test", "good.test", True),
        (".good.test", "evilgood.test", False),
        (".good.test", "good.test.evil.test", False),
        ("例子.测试", "xn--fsqu00a.xn--0zwm56d", True),
        (PUBLIC, PUBLIC, True),
        (".14", PUBLIC, False),
    ],
)
async def test_allowed_hosts(world: World, entry: str, host: str, allowed: bool) -> None:
    await world.serve(ok(), host=host)
    if entry == ".14":
        with pytest.raises(ValueError, match="not a host name"):
            FetchPolicy(allow_foreign=True, allowed_hosts=frozenset({entry}))
    elif allowed:
        assert (await world.fetch(f"http://{host}/", allowed_hosts=frozenset({entry}))).body
    else:
        reason = await world.refuses(f"http://{host}/", allowed_hosts=frozenset({entry}))
        assert reason == "forbidden_host"
        assert world.lookups == []


async def test_allowed_hosts_hold_for_redirects(world: World) -> None:
    await world.serve(to("http://other.test/"))
    await world.serve(ok(), "other.test", "93.184.215.2")
    assert await world.refuses(allowed_hosts=frozenset({"good.test"})) == "forbidden_host"
    assert world.dialled == [(PUBLIC, 80)]


async def test_an_allowed_host_may_still_not_be_inside(world: World) -> None:
    world.names["inner.test"] = [["10.0.0.5"]]
    allowed = frozenset({"inner.test"})
    assert await world.refuses("http://inner.test/", allowed_hosts=allowed) == "forbidden_address"


@pytest.mark.parametrize("entry", ["", ".", "*.good.test", "http://good.test", "good.test:80", "1"])
def test_allowed_hosts_must_be_hosts(entry: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        FetchPolicy(allow_foreign=True, allowed_hosts=frozenset({entry}))


async def test_the_environment_is_ignored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def proxy(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    await world.serve(ok())
    fetcher = SafeFetcher(FetchPolicy(allow_foreign=True), resolve=world.resolve, network=world)
    assert (await fetcher.fetch("http://good.test/")).body == b"sound"
    assert not asked.is_set()
    server.close()


# Redirects -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(world: World, status: int) -> None:
    await world.serve(to("//other.test/b.mp3?x=1#part", status))
    await world.serve(ok(), "other.test", "93.184.215.2")
    fetched = await world.fetch()
    assert fetched.url == "http://other.test/b.mp3?x=1"
    assert world.lookups == ["good.test", "other.test"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "forbidden_address"),
        ("http://169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("http://[::ffff:7f00:1]/", "forbidden_address"),
        ("//inner.test/", "forbidden_address"),
        ("http://missing.test/", "unreachable"),
        ("http://good.test:6379/", "bad_url"),
        ("http://2130706433/", "bad_url"),
        ("http://user:password@good.test/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("ftp://good.test/", "bad_url"),
        ("http://good.test/a b", "bad_url"),
        ("\\\\127.0.0.1\\", "bad_url"),
    ],
)
async def test_redirects_are_checked(world: World, location: str, reason: Reason) -> None:
    await world.serve(to(location))
    world.names["inner.test"] = [["10.0.0.5"]]
    assert await world.refuses() == reason
    assert world.dialled == [(PUBLIC, 80)]


async def test_two_locations(world: World) -> None:
    await world.serve(to("http://good.test/\r\nLocation: http://127.0.0.1/"))
    assert await world.refuses() == "bad_url"


async def test_three_redirects_and_no_more(world: World) -> None:
    for i in range(4):
        await world.serve(to(f"http://h{i + 1}.test/"), f"h{i}.test", f"93.184.215.{i}")
    await world.serve(ok(), "h4.test", "93.184.215.4")
    assert (await world.fetch("http://h1.test/")).body == b"sound"
    world.dialled.clear()
    assert await world.refuses("http://h0.test/") == "too_many_redirects"
    assert len(world.dialled) == 4


async def test_redirect_loop(world: World) -> None:
    await world.serve(to("/a.mp3"))
    assert await world.refuses() == "too_many_redirects"


async def test_nothing_is_carried_to_the_next_host(world: World) -> None:
    await world.serve(to("http://other.test/\r\nSet-Cookie: a=1; Domain=test"))
    await world.serve(ok(), "other.test", "93.184.215.2")
    await world.fetch("http://good.test/?token=secret")
    assert b"secret" in world.requests[0]
    for word in (b"secret", b"cookie", b"referer", b"authorization"):
        assert word not in world.requests[1].lower()


# TLS -------------------------------------------------------------------------------------


async def test_tls_names_the_host_and_not_the_address(world: World) -> None:
    await world.serve(ok(), certificate=CA.issue_cert("good.test"))
    assert (await world.fetch("https://good.test./a.mp3")).body == b"sound"
    assert world.server_names == ["good.test"]
    assert b"Host: good.test\r\n" in world.requests[0]
    assert world.dialled == [(PUBLIC, 443)]


async def test_tls_to_an_address(world: World) -> None:
    await world.serve(ok(), certificate=CA.issue_cert(PUBLIC))
    assert (await world.fetch(f"https://{PUBLIC}/")).body == b"sound"


@pytest.mark.parametrize("name", ["other.test", PUBLIC])
async def test_a_certificate_of_another_name(world: World, name: str) -> None:
    await world.serve(ok(), certificate=CA.issue_cert(name))
    assert await world.refuses("https://good.test/") == "unreachable"
    assert world.requests == []


async def test_an_unknown_authority(world: World) -> None:
    await world.serve(ok(), certificate=trustme.CA().issue_cert("good.test"))
    assert await world.refuses("https://good.test/") == "unreachable"
    assert world.requests == []


async def test_http_to_https_is_followed_but_not_back(world: World) -> None:
    await world.serve(to("https://tls.test/"))
    await world.serve(ok(), "tls.test", "93.184.215.2", CA.issue_cert("tls.test"))
    assert (await world.fetch()).url == "https://tls.test/"
    await world.serve(
        to("http://good.test/"), "down.test", "93.184.215.3", CA.issue_cert("down.test")
    )
    world.dialled.clear()
    assert await world.refuses("https://down.test/") == "bad_url"
    assert world.dialled == [("93.184.215.3", 443)]


async def test_plain_http_on_the_tls_port(world: World) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    world.names["good.test"] = [[PUBLIC]]
    world.routes[PUBLIC, 443] = server.sockets[0].getsockname()[1]
    assert await world.refuses("https://good.test/") == "unreachable"
    server.close()


# Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", "bad_status"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", "bad_status"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "bad_status"),
        # a body that is not what its headers say
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "bad_status"),
        # compression that was not asked for
        (ok(gzip.compress(bytes(1 << 20)), "Content-Encoding: gzip"), "bad_status"),
        (ok(b"x", "Content-Encoding: identity, br"), "bad_status"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad_status"),
        # not HTTP, or too much of it
        (b"220 mail.test ESMTP\r\n", "bad_status"),
        (b"-ERR unknown command\r\n", "bad_status"),
        (b"\x16\x03\x01\x00\x01", "bad_status"),
        (b"", "bad_status"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20), "bad_status"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (1 << 17), "bad_status"),
    ],
)
async def test_answers_that_are_no_file(world: World, answer: bytes, reason: Reason) -> None:
    await world.serve(answer)
    assert await world.refuses() == reason


async def test_more_body_than_promised_is_cut(world: World) -> None:
    await world.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsoundHTTP/1.1 200 OK\r\n")
    assert (await world.fetch()).body == b"sound"


async def test_the_largest_file(world: World) -> None:
    await world.serve(ok(bytes(1000)))
    assert len((await world.fetch(max_bytes=1000)).body) == 1000
    assert await world.refuses(max_bytes=999) == "too_large"


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Handler:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "piece", "reason"),
    [
        (PLAIN, bytes(65536), "too_large"),
        (CHUNKED, b"4000\r\n" + bytes(0x4000) + b"\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, "bad_status"),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, "bad_status"),
        (CHUNKED + b"1;", b"x" * 6000, "bad_status"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "timeout"),
    ],
)
async def test_endless_answers(world: World, head: bytes, piece: bytes, reason: Reason) -> None:
    await world.serve(endless(head, piece))
    assert await world.refuses(max_bytes=1_000_000, total_seconds=2.0) == reason
    await asyncio.wait_for(world.hung_up.wait(), 2)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (PLAIN, b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b""),
    ],
)
async def test_slow_answers(world: World, head: bytes, piece: bytes) -> None:
    await world.serve(endless(head, piece, pause=0.02))
    begin = time.monotonic()
    assert await world.refuses(total_seconds=0.4) == "timeout"
    assert 0.3 < time.monotonic() - begin < 1.5


async def test_the_deadline_spans_redirects(world: World) -> None:
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.25)
        writer.write(to("/a.mp3"))
        await writer.drain()

    await world.serve(slow)
    assert await world.refuses(total_seconds=0.6) == "timeout"


async def test_a_server_that_never_greets_tls(world: World) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    world.names["good.test"] = [[PUBLIC]]
    world.routes[PUBLIC, 443] = server.sockets[0].getsockname()[1]
    begin = time.monotonic()
    assert await world.refuses("https://good.test/", connect_seconds=0.3) == "timeout"
    assert time.monotonic() - begin < 1.5
    server.close()


async def test_cancelling_closes_the_socket(world: World) -> None:
    await world.serve(endless(PLAIN, b"x", pause=0.02))
    task = asyncio.create_task(world.fetch())
    while not world.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(world.hung_up.wait(), 2)
