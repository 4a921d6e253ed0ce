"""``/v1/realtime`` with real-time microphones: voice to voice, barge-in, memory, loop lag.

The servers have one core for themselves, the providers and the load the other.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import uvloop

from bench import systems
from bench.measure import Percentiles, rss_bytes, table
from bench.microphones import SILENCE_MS, Call, hold, talk
from bench.question import voice_floor
from bench.systems import System
from tests.platform import Client, ProviderProcess
from tests.servers.openai_answers import REPLY

SERVERS, LOAD = {0}, {1}
PER_USER = 10
# As the providers' own reply begins, so that the floor is the same: six seconds of speech.
SHORT = REPLY[:29]
LONG = "这一番话说来话长，且容我从头慢慢讲起。" * 12
_QUOTA = {"MAX_WEBSOCKET_CONNECTIONS": "20"}


@dataclass(frozen=True, slots=True)
class Answers:
    """Voice to voice of one load.

    Attributes:
        system: Its name.
        sessions: How many talk at once.
        added: Ms from the end of speech to the first audio, less providers and window.
        underruns: Deltas that came after they were due, of ``deltas``.
        cores: Of the servers' core, a session in percent.
    """

    system: str
    sessions: int
    added: Percentiles
    underruns: int
    deltas: int
    cores: float


@dataclass(frozen=True, slots=True)
class BargeIn:
    """How fast an answer ends when one speaks into it.

    Attributes:
        system: Its name.
        sessions: How many talk at once.
        stop: Ms from the onset of speech to ``speech_started``.
        cancelled: The same to ``response.done``.
        upstream: Requests to the model that were broken off; one more a session than was
            interrupted, since each call is hung up in the midst of an answer.
    """

    system: str
    sessions: int
    stop: Percentiles
    cancelled: Percentiles
    upstream: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """A hundred calls, of which some talk."""

    connected: int
    talking: int
    mib_each: float
    lag_p95: float


@contextmanager
def system(provider: ProviderProcess, name: str) -> Iterator[System]:
    """``embedded inline``, ``embedded celery``, ``scaled inline`` or ``scaled celery``."""
    mode, runner = name.split()
    start = systems.embedded if mode == "embedded" else systems.scaled
    with start(provider, {**_QUOTA, "REALTIME_RUNNER": runner}) as running:
        for process in running.processes.values():
            pin(process.pid, SERVERS)
        yield replace(running, name=name)


def pin(pid: int, cores: set[int]) -> None:
    """A process and all its threads; what it starts later inherits it."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), cores)


def calls_of(running: System, count: int) -> list[Call]:
    """So many calls of several users to one character."""
    while len(running.clients) * PER_USER < count:
        running.clients.append(Client.register(running.base_url))
    role = running.clients[0].role("诸葛亮")
    url = f"{running.ws_url}/v1/realtime?model=role:{role}"
    return [Call(url, running.clients[number // PER_USER].headers) for number in range(count)]


def answers(running: System, provider: ProviderProcess, count: int, *, turns: int) -> Answers:
    """Calls in which each answer is heard to its end; the first turn of each is not counted."""
    calls = calls_of(running, count)
    provider.script("chat", text=SHORT)
    before, begun = running.cpu(), time.perf_counter()
    uvloop.run(talk(calls, turns=turns + 1))
    seconds = time.perf_counter() - begun
    used = sum(running.cpu().values()) - sum(before.values())
    waited = [each for call in calls for each in call.answers[1:]]
    return Answers(
        running.name,
        count,
        Percentiles.of(waited).minus(voice_floor() + SILENCE_MS),
        sum(call.underruns for call in calls),
        sum(call.deltas for call in calls),
        used / seconds / count * 100,
    )


def barge_in(running: System, provider: ProviderProcess, count: int, *, turns: int) -> BargeIn:
    """Calls in which each answer but the last is interrupted after half a second."""
    calls = calls_of(running, count)
    provider.script("chat", text=LONG)
    before = provider.log()["counts"].get("chat", {}).get("cancelled", 0)
    uvloop.run(talk(calls, turns=turns + 1, barge_in=0.5))
    cancelled = provider.log()["counts"]["chat"]["cancelled"] - before
    provider.reset()
    return BargeIn(
        running.name,
        count,
        Percentiles.of(each for call in calls for each in call.stops),
        Percentiles.of(each for call in calls for each in call.cancels),
        cancelled,
    )


def crowd(
    running: System, provider: ProviderProcess, *, connected: int = 100, talking: int = 20
) -> Crowd:
    """Memory a session, and how late the loop is, while some of many talk."""
    calls = calls_of(running, connected)
    pid = running.processes["web"].pid
    provider.script("chat", text=SHORT)

    async def run() -> Crowd:
        before = rss_bytes(pid)
        until = asyncio.Event()
        quiet = calls[talking:]
        holding = asyncio.create_task(
            hold([call.url for call in quiet], [call.headers for call in quiet], until)
        )
        await asyncio.sleep(3)
        lag = await _lag(running.base_url)
        await talk(calls[:talking], turns=4)
        grown = rss_bytes(pid) - before
        late = _p95(await _lag(running.base_url), lag)
        until.set()
        await holding
        return Crowd(connected, talking, grown / connected / 2**20, late)

    return uvloop.run(run())


async def _lag(base_url: str) -> dict[float, float]:
    """The histogram of the web loop: counts by upper bound in seconds."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{base_url}/metrics")).text.splitlines()
    found = {}
    for line in lines:
        if line.startswith("liyuan_event_loop_lag_seconds_bucket") and 'loop="web"' in line:
            bound = line.partition('le="')[2].partition('"')[0]
            found[float(bound)] = found.get(float(bound), 0.0) + float(line.rpartition(" ")[2])
    return found


def _p95(after: Mapping[float, float], before: Mapping[float, float]) -> float:
    """Ms of the bucket in which the 95th percentile lies."""
    counts = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    total = max(counts.values())
    return next(bound for bound, count in counts.items() if count >= 0.95 * total) * 1000


@contextmanager
def apart() -> Iterator[ProviderProcess]:
    """The providers, on the load's core."""
    os.sched_setaffinity(0, LOAD)
    try:
        with systems.providers() as provider:
            pin(provider.process.pid, LOAD)
            yield provider
    finally:
        os.sched_setaffinity(0, SERVERS | LOAD)


RUNS = ("embedded inline", "embedded celery", "scaled inline", "scaled celery")


def measure(runs: tuple[str, ...] = RUNS) -> str:
    """All of it as tables; some eleven minutes."""
    voices, barges = [], []
    with apart() as provider:
        for name in runs:
            with system(provider, name) as running:
                for count in (1, 20, 50) if name == "embedded inline" else (1, 20):
                    say(f"realtime: {name}, {count} talking")
                    each = answers(running, provider, count, turns=4)
                    say(f"    {each}")
                    voices.append(each)
                say(f"realtime: {name}, barge-in")
                barges.append(barge_in(running, provider, 20, turns=4))
                say(f"    {barges[-1]}")
        # A server of its own: what earlier calls have left in memory would hide these.
        with system(provider, "embedded inline") as running:
            say("realtime: 100 connected, 20 talking")
            met = crowd(running, provider)
            say(f"    {met}")
    head = ["system", "talking", "added p50", "p95", "underruns", "of a core a session"]
    rows = [
        [
            *(each.system, str(each.sessions)),
            *(f"{each.added.p50:.0f} ms", f"{each.added.p95:.0f} ms"),
            *(f"{each.underruns} of {each.deltas}", f"{each.cores:.2f} %"),
        ]
        for each in voices
    ]
    barged = [
        [
            each.system,
            *(f"{each.stop.p50:.0f} ms", f"{each.stop.p95:.0f} ms"),
            *(f"{each.cancelled.p50:.0f} ms", f"{each.cancelled.p95:.0f} ms"),
            f"{each.upstream} of {each.stop.count + each.sessions}",
        ]
        for each in barges
    ]
    names = ["barge-in, 20 talking", "stop p50", "p95", "response.done p50", "p95", "cancelled"]
    line = (
        f"{met.connected} connected, {met.talking} talking: {met.mib_each:.2f} MiB a session, "
        f"loop lag p95 <= {met.lag_p95:g} ms"
    )
    return "\n\n".join([table(head, rows), table(names, barged), line])


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)
