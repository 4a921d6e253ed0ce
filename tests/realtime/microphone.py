"""A microphone in real time: recorded speech when it is asked for, the room's hiss between."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

import numpy as np
from websockets.exceptions import ConnectionClosed

from tests.realtime.client import Call
from tests.spoken import VOICES, voice
from voice.audio.resample import Resampler

RATE = 24_000
_BLOCK = 0.02


def speech(seconds: float = 1.6, number: int = 0) -> bytes:
    """The beginning of a recorded sentence, from its first word on: PCM16 at 24 000 Hz."""
    heard = voice(VOICES[number])
    start = int(np.argmax(np.abs(heard) > 0.05))
    samples = heard[start : start + int(seconds * 16_000)]
    resampler = Resampler(16_000, RATE)
    pcm = (samples * 32_767).astype("<i2").tobytes()
    return resampler.feed(pcm) + resampler.flush()


def hiss(seconds: float) -> bytes:
    """A room in which nobody speaks."""
    noise = np.random.default_rng(5).normal(0, 30, int(seconds * RATE))
    return noise.astype("<i2").tobytes()


class Microphone:
    """Sends 20 ms every 20 ms, for as long as it is entered.

    Args:
        line: Where to.
    """

    def __init__(self, line: Call) -> None:
        self._line = line
        self._blocks: deque[bytes] = deque()
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def say(self, pcm: bytes) -> None:
        """Have this heard next."""
        size = int(_BLOCK * RATE) * 2
        self._blocks.extend(pcm[at : at + size] for at in range(0, len(pcm), size))

    def _run(self) -> None:
        quiet = hiss(_BLOCK)
        due = time.monotonic()
        while not self._off.is_set():
            try:
                self._line.append(self._blocks.popleft() if self._blocks else quiet)
            except ConnectionClosed:
                return
            due += _BLOCK
            time.sleep(max(0.0, due - time.monotonic()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._off.set()
        self._thread.join(5)
