"""Turns on both sockets: how long after the providers could have it, the client has it."""

import time
from dataclasses import dataclass

import uvloop

from bench.load import bursts, steady
from bench.measure import Percentiles, cpu_seconds
from bench.question import text_floor, voice_floor
from bench.systems import System
from tests.platform import ProviderProcess

CHAT, CALL = "/api/ws/chat", "/api/ws/voice_chat"
# Starts are spread as they are among people: about the length of one turn, in seconds.
SPREAD = 2.7


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one system.

    Attributes:
        what: The socket.
        system: Its name.
        load: How many at once, and whether they all begin in the same moment.
        added: Ms to the first piece, less what the providers take.
        cores: CPU used, by process, in cores.
    """

    what: str
    system: str
    load: str
    added: Percentiles
    cores: dict[str, float]


def is_delta(answer: str) -> bool:
    return '"delta"' in answer[:60]


def is_audio(answer: str) -> bool:
    return '"audio"' in answer[:60]


def measure(
    system: System,
    provider: ProviderProcess,
    path: str,
    *,
    count: int,
    turns: int,
    burst: bool = False,
) -> Measured:
    """Let ``count`` users talk ``turns`` times each. Raises RuntimeError where a turn fails."""
    visitors = system.visitors(count, path)
    is_first = is_delta if path == CHAT else is_audio
    floor = text_floor() if path == CHAT else voice_floor()

    def cpu() -> dict[str, float]:
        own = {"providers": cpu_seconds(provider.process.pid), "load": time.process_time()}
        return {**system.cpu(), **own}

    before, begun = cpu(), time.perf_counter()
    if burst:
        asked = uvloop.run(bursts(visitors, is_first, turns=turns))
    else:
        asked = uvloop.run(steady(visitors, is_first, turns=turns, spread=SPREAD))
    seconds = time.perf_counter() - begun
    cores = {name: (used - before[name]) / seconds for name, used in cpu().items()}
    added = Percentiles.of(each.first for each in asked).minus(floor)
    load = f"{count} at once" if burst else f"{count}"
    return Measured(path.removeprefix("/api/ws/"), system.name, load, added, cores)
