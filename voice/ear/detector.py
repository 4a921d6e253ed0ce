"""Probabilities of speech for many lines: their frames are gathered into one inference."""

import asyncio
import logging
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from voice.ear import silero
from voice.ear.energy import SILENCE_DB, EnergyGate
from voice.ear.silero import (
    CONTEXT_SAMPLES,
    FRAME_SAMPLES,
    STATE_SIZE,
    Floats,
    Silero,
)

logger = logging.getLogger(__name__)

OnFrame = Callable[[float, float], None]
"""Takes each frame of a line in order: its probability of speech, its level in dB."""

# Frames wait so long for those of other lines.
_GATHER_SECONDS = 0.008
# Whoever sends faster than they speak is served in slices, so that the loop stays free.
_SLICE_SECONDS = 0.004
# Beyond this a line is so far behind that its oldest audio is taken for silence.
_MOST_BEHIND = 10 * 60 * silero.SAMPLE_RATE * 2
_SILENCE_POWER = 10 ** (SILENCE_DB / 10)
_CONTEXT_BYTES, _FRAME_BYTES = CONTEXT_SAMPLES * 2, FRAME_SAMPLES * 2


class Lane:
    """The place of one line in the detector."""

    __slots__ = ("_detector", "audio", "gate", "on_frame", "row")

    def __init__(self, detector: "Detector", row: int, on_frame: OnFrame) -> None:
        self._detector = detector
        self.row = row
        self.on_frame = on_frame
        self.gate = EnergyGate()
        self.audio = bytearray(_CONTEXT_BYTES)  # that of the last frame, and what is new

    def feed(self, pcm: bytes) -> None:
        """The next audio: PCM16 mono at 16 000 Hz, of any even length."""
        self.audio += pcm
        if len(self.audio) >= _CONTEXT_BYTES + _FRAME_BYTES:
            self._detector.has_frames(self)

    @property
    def waiting_bytes(self) -> int:
        """What was fed and not looked at yet."""
        return max(0, len(self.audio) - _CONTEXT_BYTES)

    def close(self) -> None:
        """No frame is told any more. Safe to call again."""
        self._detector.leave(self)


class Detector:
    """Detects speech for the lines of one event loop.

    All inference runs on the loop, a batch at a time (some 60 µs a frame): a thread would
    cost more than it saves. Frames that are as quiet as the room cost next to nothing.
    """

    def __init__(self) -> None:
        self._network: Silero | None = None
        self._loading: asyncio.Task[None] | None = None
        self._deaf = False
        self._scheduled: asyncio.Handle | None = None
        self._ready: dict[Lane, None] = {}
        self._free: list[int] = []
        self._hidden: Floats = np.zeros((1, 0, STATE_SIZE), np.float32)
        self._cell: Floats = np.zeros((1, 0, STATE_SIZE), np.float32)

    async def warm(self) -> None:
        """Load the network now instead of at the first audio. Blocks nobody.

        Raises:
            DetectorUnavailableError: It cannot be had.
        """
        if self._network is None:
            self._network = await asyncio.to_thread(silero.load)

    def join(self, on_frame: OnFrame) -> Lane:
        """A place for a line.

        Args:
            on_frame: Called on the loop, never from within a call of ours.
        """
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._hidden[:, row] = self._cell[:, row] = 0.0
        return Lane(self, row, on_frame)

    def leave(self, lane: Lane) -> None:
        """See ``Lane.close``."""
        if lane.row >= 0:
            self._ready.pop(lane, None)
            self._free.append(lane.row)
            lane.row = -1

    def has_frames(self, lane: Lane) -> None:
        """A lane has at least one frame for us; see ``Lane.feed``."""
        if lane.row < 0 or self._deaf:
            lane.audio.clear()
            return
        self._ready[lane] = None
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.call_later(_GATHER_SECONDS, self._serve)

    def _serve(self) -> None:
        self._scheduled = None
        if self._network is None:
            self._loading = self._loading or asyncio.get_running_loop().create_task(self._load())
            return
        until = time.perf_counter() + _SLICE_SECONDS
        while self._ready:
            self._round(self._network)
            if self._ready and time.perf_counter() > until:
                self._scheduled = asyncio.get_running_loop().call_soon(self._serve)
                return

    async def _load(self) -> None:
        try:
            await self.warm()
        except Exception:  # foreseen or not: without it nobody is heard
            logger.exception("No speech is detected on any line")
            self._deaf = True
            self._ready.clear()
        self._serve()

    def _round(self, network: Silero) -> None:
        """The next frame of every lane that has one."""
        lanes = list(self._ready)
        pcm = b"".join([lane.audio[: _CONTEXT_BYTES + _FRAME_BYTES] for lane in lanes])
        frames = np.frombuffer(pcm, "<i2").reshape(len(lanes), -1).astype(np.float32)
        frames *= 1 / 32_768
        levels = _levels(frames[:, CONTEXT_SAMPLES:])
        speech = [0.0] * len(lanes)
        heard = [i for i, lane in enumerate(lanes) if not lane.gate.spares(levels[i])]
        if heard:
            rows = [lanes[i].row for i in heard]
            found, self._hidden[:, rows], self._cell[:, rows] = network.run(
                frames if len(heard) == len(lanes) else frames[heard],
                self._hidden[:, rows],
                self._cell[:, rows],
            )
            for i, probability in zip(heard, found.tolist(), strict=True):
                speech[i] = probability
                lanes[i].gate.learn(levels[i], probability)
        for lane, probability, level in zip(lanes, speech, levels, strict=True):
            self._tell(lane, probability, level)

    def _tell(self, lane: Lane, probability: float, level: float) -> None:
        """Let go of a lane's frame, then tell it: whoever is told may feed or leave."""
        if lane.row < 0:
            return  # left when another was told
        del lane.audio[:_FRAME_BYTES]
        if len(lane.audio) < _CONTEXT_BYTES + _FRAME_BYTES:
            del self._ready[lane]
        self._safely(lane, probability, level)
        while lane.row >= 0 and len(lane.audio) > _MOST_BEHIND:
            del lane.audio[:_FRAME_BYTES]
            self._safely(lane, 0.0, SILENCE_DB)

    def _safely(self, lane: Lane, probability: float, level: float) -> None:
        try:
            lane.on_frame(probability, level)
        except Exception as error:  # one line's fault is not to deafen the others
            asyncio.get_running_loop().call_exception_handler(
                {"message": "A line of the ear failed", "exception": error}
            )

    def _grow(self) -> None:
        rows = self._hidden.shape[1]
        more = np.zeros((1, max(8, rows), STATE_SIZE), np.float32)
        self._hidden = np.concatenate([self._hidden, more], axis=1)
        self._cell = np.concatenate([self._cell, more], axis=1)
        self._free = list(range(rows, self._hidden.shape[1]))[::-1]


_detectors: WeakKeyDictionary[asyncio.AbstractEventLoop, Detector] = WeakKeyDictionary()


def running_detector() -> Detector:
    """The detector of the running event loop; the network is the process's."""
    loop = asyncio.get_running_loop()
    if loop not in _detectors:
        _detectors[loop] = Detector()
    return _detectors[loop]


def _levels(frames: Floats) -> list[float]:
    """Levels without what is constant in a frame: cheap microphones have an offset."""
    power = np.einsum("ij,ij->i", frames, frames) / frames.shape[1] - frames.mean(axis=1) ** 2
    levels: list[float] = (10 * np.log10(np.maximum(power, _SILENCE_POWER))).tolist()
    return levels
