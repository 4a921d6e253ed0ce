"""A thousand sockets that only wait: do they live, and what does each cost?"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from bench.load import Visitor, open_socket
from bench.measure import rss_bytes
from bench.systems import System


@dataclass(frozen=True, slots=True)
class Idle:
    """What became of the sockets."""

    system: str
    opened: int
    alive: int
    seconds: float
    bytes_each: float


def measure(system: System, *, count: int = 1000, seconds: float = 60.0) -> Idle:
    """Open sockets of several users, wait, and ask each whether it still answers."""
    users = system.visitors(max(1, count // 20), "/api/ws/chat")
    visitors = [users[number % len(users)] for number in range(count)]
    return uvloop.run(_hold(system, visitors, seconds))


async def _hold(system: System, visitors: list[Visitor], seconds: float) -> Idle:
    pid = system.processes["web"].pid
    async with AsyncExitStack() as stack:
        warm = await asyncio.gather(*(open_socket(stack, each) for each in visitors[:20]))
        before = rss_bytes(pid)
        sockets = list(warm)
        for start in range(20, len(visitors), 50):
            batch = visitors[start : start + 50]
            sockets += await asyncio.gather(*(open_socket(stack, each) for each in batch))
        begun = time.perf_counter()
        await asyncio.sleep(seconds)
        held = time.perf_counter() - begun
        grown = rss_bytes(pid) - before
        alive = sum(await asyncio.gather(*map(_answers, sockets)))
    return Idle(system.name, len(sockets), alive, held, grown / (len(sockets) - len(warm)))


async def _answers(socket) -> bool:
    """A cancel of nothing is answered with an error; a dead socket with nothing."""
    try:
        async with asyncio.timeout(30):
            await socket.send('{"type": "cancel"}')
            return "error" in json.loads(await socket.recv())
    except (OSError, TimeoutError, EOFError):
        return False
