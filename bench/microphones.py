"""Calls over ``/v1/realtime``: microphones in real time, and a clock on what comes back.

Light, since it shares the cores with what it measures: blocks are encoded once for all
calls, and an event is parsed only where its type matters.
"""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from tests.processes import ROOT
from voice.audio.decode import decode_clip

RATE = 24_000
BLOCK = 0.02  # seconds of audio in one event
# Of a voice's sample, the stretch that has no pause as long as the silence window.
_SAMPLE, _FROM, _TO = "kokoro_af_aoede.mp3", 0.2, 3.0
_AUDIBLE = -45.0  # dBFS
SILENCE_MS = 200
_TURN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """What every microphone says.

    Attributes:
        blocks: Events, one each BLOCK seconds.
        onset: Seconds from the beginning to the first sound.
        end: Seconds to the last one.
    """

    blocks: tuple[str, ...]
    onset: float
    end: float


@cache
def spoken() -> Spoken:
    """A sentence of real speech, as input_audio_buffer.append events."""
    path = ROOT / "static" / "voices" / _SAMPLE
    clip = decode_clip(path, max_seconds=30, max_bytes=2**22, sample_rate=RATE)
    samples = np.frombuffer(clip.pcm, "<i2")[int(_FROM * RATE) : int(_TO * RATE)]
    frames = samples[: len(samples) // 240 * 240].reshape(-1, 240).astype(np.float64) / 32_768
    loud = np.flatnonzero(10 * np.log10((frames**2).mean(axis=1) + 1e-10) > _AUDIBLE)
    size = int(BLOCK * RATE)
    padded = np.pad(samples, (0, -len(samples) % size))
    blocks = tuple(_append(block.tobytes()) for block in padded.reshape(-1, size))
    return Spoken(blocks, float(loud[0]) * 0.01, float(loud[-1] + 1) * 0.01)


@cache
def silence() -> str:
    """One block of it; not digital: a quiet room."""
    noise = np.random.default_rng(3).normal(0, 3, int(BLOCK * RATE)).astype("<i2")
    return _append(noise.tobytes())


def _append(pcm: bytes) -> str:
    audio = base64.b64encode(pcm).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


@dataclass(slots=True)
class Call:
    """One call and what was measured in it; ms, by ``time.perf_counter``."""

    url: str
    headers: Mapping[str, str]
    answers: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    cancels: list[float] = field(default_factory=list)
    underruns: int = 0
    deltas: int = 0
    _onset: float = 0.0
    _end: float = 0.0
    _first: float = 0.0
    _due: float = 0.0
    _stopped: float = 0.0
    _cancelled: float = 0.0
    _done: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _say: bool = False

    async def run(self, *, turns: int, barge_in: float | None, ready: asyncio.Event) -> None:
        """Talk; where ``barge_in`` is given, interrupt each answer after so many seconds of it."""
        async with connect(
            self.url,
            additional_headers=self.headers,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=60,
        ) as socket:
            detection = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
            session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
            await socket.send(json.dumps({"type": "session.update", "session": session}))
            hearing = asyncio.create_task(self._hear(socket))
            await ready.wait()
            speaking = asyncio.create_task(self._speak(socket))
            try:
                for turn in range(turns):
                    async with asyncio.timeout(_TURN_SECONDS):
                        await self._turn(interrupted=turn > 0 and barge_in is not None)
                        if barge_in is not None:
                            await asyncio.sleep(barge_in)
                        else:
                            await self._done.wait()
                            await asyncio.sleep(max(0.0, self._due - time.perf_counter()) + 0.3)
            finally:
                speaking.cancel()
                hearing.cancel()
                await asyncio.gather(speaking, hearing, return_exceptions=True)

    async def _turn(self, *, interrupted: bool) -> None:
        """Say the sentence, until its answer begins."""
        self._stopped = self._cancelled = 0.0
        self._begun.clear()
        self._done.clear()
        self._say = True
        await self._begun.wait()
        self.answers.append((self._first - self._end) * 1000)
        if interrupted:
            self.stops.append((self._stopped - self._onset) * 1000)
            self.cancels.append((self._cancelled - self._onset) * 1000)

    async def _speak(self, socket: ClientConnection) -> None:
        """The microphone: a block each BLOCK seconds, whatever happens."""
        said = spoken()
        due = time.perf_counter()
        while True:
            blocks = said.blocks if self._say else (silence(),)
            if self._say:
                self._say = False
                self._first = 0.0
                self._onset, self._end = due + said.onset, due + said.end
            for block in blocks:
                due += BLOCK
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await socket.send(block)

    async def _hear(self, socket: ClientConnection) -> None:
        async for event in socket:
            now = time.perf_counter()
            text = str(event)
            head = text[:140]
            if "response.output_audio.delta" in head:
                self._sound(json.loads(text), now)
            elif "speech_started" in head:
                self._stopped = self._stopped or now
            elif "response.done" in head:
                status = json.loads(text)["response"]["status"]
                if status == "cancelled":
                    self._cancelled = self._cancelled or now
                elif status != "completed":
                    raise RuntimeError(f"a response ended as {status}: {text[:600]}")
                else:
                    self._done.set()
            elif '"error"' in head:
                raise RuntimeError(text[:600])

    def _sound(self, event: Mapping[str, Any], now: float) -> None:
        seconds = len(event["delta"]) * 3 / 4 / 2 / RATE
        if now < self._end:  # of the answer that is being interrupted
            return
        self.deltas += 1
        if not self._first:
            self._first = self._due = now
            self._begun.set()
        elif now > self._due:
            self.underruns += 1
            self._due = now
        self._due += seconds


async def talk(calls: list[Call], *, turns: int, barge_in: float | None = None) -> None:
    """All calls at once, their beginnings spread over the length of a turn."""
    ready = asyncio.Event()
    spread = 4.0

    async def begin(number: int, call: Call) -> None:
        later = asyncio.Event()

        async def open_the_gate() -> None:
            await ready.wait()
            await asyncio.sleep(spread * number / len(calls))
            later.set()

        gate = asyncio.create_task(open_the_gate())
        await call.run(turns=turns, barge_in=barge_in, ready=later)
        await gate

    async with asyncio.TaskGroup() as group:
        for number, call in enumerate(calls):
            group.create_task(begin(number, call))
        await asyncio.sleep(0.5)
        ready.set()


async def hold(urls: list[str], headers: list[Mapping[str, str]], until: asyncio.Event) -> None:
    """Calls in which nobody says anything."""
    sockets = [
        await connect(
            url,
            additional_headers=each,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=60,
        )
        for url, each in zip(urls, headers, strict=True)
    ]
    readers = [asyncio.create_task(_discard(socket)) for socket in sockets]
    await until.wait()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await asyncio.gather(*(socket.close() for socket in sockets))


async def _discard(socket: ClientConnection) -> None:
    async for _ in socket:
        pass
