"""Connections to providers: kept, and waited for no longer than is said."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from aiohttp import web

from voice.http_transport import AiohttpTransport

READ_SECONDS = 0.5


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def whole(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=bytes(int(request.query["size"])))

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(5)
        return response

    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    app = web.Application()
    app.router.add_post("/whole", whole)
    app.router.add_post("/half", half)
    app.router.add_post("/never", never)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    timeout = httpx2.Timeout(READ_SECONDS, connect=0.2, pool=0.2)
    async with httpx2.AsyncClient(
        transport=AiohttpTransport(max_connections=10), timeout=timeout
    ) as client:
        yield client


@pytest.mark.parametrize("size", [10, 100_000, 140_000, 300_000, 2_000_000])
async def test_a_connection_that_was_idle_for_long_serves_again(
    url: str, client: httpx2.AsyncClient, size: int
) -> None:
    for _ in range(2):
        async with client.stream("POST", f"{url}/whole?size={size}", content=b"?") as answer:
            await asyncio.sleep(0.1)  # all of it has come before any of it is read
            body = b"".join([piece async for piece in answer.aiter_bytes()])
        assert len(body) == size
        await asyncio.sleep(READ_SECONDS + 0.1)


async def test_an_idle_connection_has_no_timer_that_goes_on(
    url: str, client: httpx2.AsyncClient
) -> None:
    """Many at once, read slowly: what aiohttp's own read time-out stumbled over."""

    async def ask() -> None:
        async with client.stream("POST", f"{url}/whole?size=200000", content=b"?") as answer:
            async for _ in answer.aiter_bytes():
                await asyncio.sleep(0.01)

    await asyncio.gather(*(ask() for _ in range(5)))
    pooled = client._transport._opened().connector._conns  # type: ignore[attr-defined]
    protocols = [entry[0] for entries in pooled.values() for entry in entries]
    assert protocols
    assert all(each._read_timeout_handle is None for each in protocols)


@pytest.mark.parametrize("path", ["never", "half"])
async def test_a_peer_that_falls_silent_is_given_up(
    url: str, client: httpx2.AsyncClient, path: str
) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(httpx2.ReadTimeout):
        async with client.stream("POST", f"{url}/{path}", content=b"?") as answer:
            async for _ in answer.aiter_bytes():
                pass
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_full_pool_is_told_from_a_server_that_cannot_be_reached(url: str) -> None:
    timeout = httpx2.Timeout(5, connect=0.2, pool=0.2)
    transport = AiohttpTransport(max_connections=1)
    async with httpx2.AsyncClient(transport=transport, timeout=timeout) as client:
        async with client.stream("POST", f"{url}/half", content=b"?") as answer:
            with pytest.raises(httpx2.PoolTimeout):
                await client.post(f"{url}/whole?size=1")
            assert answer.status_code == 200
            waiting = asyncio.create_task(client.post(f"{url}/whole?size=1"))
            await asyncio.sleep(0.05)
        # Whoever gets a place in time is served.
        assert (await waiting).content == b"\0"


@pytest.fixture
def unreachable() -> Iterator[str]:
    """Takes no connection: as many wait for it as may."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_server_that_takes_no_connection_is_no_full_pool(unreachable: str) -> None:
    timeout = httpx2.Timeout(5, connect=0.2, pool=1)
    transport = AiohttpTransport(max_connections=1)
    async with httpx2.AsyncClient(transport=transport, timeout=timeout) as client:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.post(unreachable)
