"""``/api/role/list`` against an untuned viewset under daphne: requests a second."""

import asyncio
import sys
import time
from dataclasses import dataclass

import aiohttp
import uvloop

from tests.platform import Client
from tests.processes import free_port, start, start_server

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Lists:
    """Requests a second."""

    ours: float
    untuned: float

    @property
    def ratio(self) -> float:
        return self.ours / self.untuned


def measure(*, seconds: float = 8.0) -> Lists:
    """Both on one database with more than twenty roles, one after the other, twice."""
    with start_server() as web:
        client = Client.register(web.base_url)
        for number in range(15):
            client.add_role(name=f"冒险家{number}")
        port = free_port()
        command = [
            *(sys.executable, "-m", "daphne", "--port", str(port), "--verbosity", "0"),
            "bench.untuned_asgi:application",
        ]
        environment = {**web.environment, "DJANGO_SETTINGS_MODULE": "bench.untuned"}
        with start("untuned", command, environment) as untuned:
            untuned.wait_for(lambda: _listens(port))
            ours_url = f"{web.base_url}/api/role/list?page_size=10"
            theirs_url = f"http://127.0.0.1:{port}/roles/"
            rates: dict[str, list[float]] = {ours_url: [], theirs_url: []}
            for url in (ours_url, theirs_url) * 2:
                rates[url].append(uvloop.run(_rate(url, client.headers, seconds / 2)))
    return Lists(max(rates[ours_url]), max(rates[theirs_url]))


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _rate(url: str, headers: dict[str, str], seconds: float) -> float:
    done = 0
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask() -> None:
            async with session.get(url) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        async def keep_asking(until: float) -> None:
            nonlocal done
            while time.perf_counter() < until:
                await ask()
                done += 1

        await asyncio.gather(*(ask() for _ in range(CONCURRENCY)))
        begun = time.perf_counter()
        await asyncio.gather(*(keep_asking(begun + seconds) for _ in range(CONCURRENCY)))
        return done / (time.perf_counter() - begun)
