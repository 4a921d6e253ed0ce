"""Conversion of the sample rate for ears and telephones, where each millisecond counts."""

import math

import numpy as np
import numpy.typing as npt

_HALF_WIDTH = 16  # of the filter, in samples of the lower rate
_BLOCK = 1 << 14  # samples: each takes 100 bytes or more while it is worked on
_STEEPNESS = 6.0  # Kaiser's beta: some 60 dB of what the lower rate cannot hold


class Polyphase:
    """PCM16 mono from one rate to another, piece by piece, with a lag of 1 or 2 ms.

    soxr's streams (``voice.audio.resample``) are cleaner and work on larger blocks: their
    lag at these rates is 11 to 60 ms. All pieces, joined, are the same however the signal
    was cut, and sample 0 stays at time 0. A second of audio costs about 1 ms of CPU.

    Args:
        source_rate: Hz of what is fed.
        target_rate: Hz of what comes out; the two are in a ratio of small numbers.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        common = math.gcd(source_rate, target_rate)
        self._up, self._down = target_rate // common, source_rate // common
        taps = _filter(self._up, self._down)
        self._taps = taps.shape[1]
        self._matrix = _matrix(taps, self._down)
        self._width = self._matrix.shape[0]
        self._begin()

    def feed(self, pcm: bytes) -> bytes:
        """What is ready so far; may be empty.

        Raises:
            ValueError: ``pcm`` ends within a sample.
        """
        samples = np.frombuffer(pcm, dtype="<i2")
        self._fed += len(samples)
        return b"".join(
            self._convert(samples[at : at + _BLOCK]) for at in range(0, len(samples), _BLOCK)
        )

    def flush(self) -> bytes:
        """The rest. Afterwards it is ready for a new signal."""
        missing = -(-self._fed * self._up // self._down) - self._given
        rest = self._convert(np.zeros(self._width + self._down, np.int16))[: 2 * missing]
        self._begin()
        return rest

    def _begin(self) -> None:
        # Silence before the first sample, so that the filter's middle stands on it.
        self._waiting = np.zeros(self._taps // 2, np.float32)
        self._fed = self._given = 0

    def _convert(self, samples: npt.NDArray[np.int16]) -> bytes:
        """Every group of samples whose whole window is there; the rest of the signal waits.

        A group is as many as are made of ``down`` source samples: all groups are one product.
        """
        signal = np.concatenate((self._waiting, samples), dtype=np.float32)
        down, width = self._down, self._width
        groups = max(0, (len(signal) - width) // down + 1)
        # numpy's own views of windows take longer to make than the product does.
        windows = np.ndarray((groups, width), np.float32, signal, 0, (4 * down, 4))
        converted = np.ascontiguousarray(windows) @ self._matrix
        self._waiting = signal[groups * down :].copy()
        self._given += groups * self._up
        np.rint(converted, out=converted)
        np.maximum(converted, -32_768, out=converted)
        np.minimum(converted, 32_767, out=converted)
        return converted.astype("<i2").tobytes()


def _matrix(taps: npt.NDArray[np.float32], down: int) -> npt.NDArray[np.float32]:
    """The taps of one group, a column a sample, each standing where its window begins."""
    up, width = taps.shape
    matrix = np.zeros((width + (up - 1) * down // up, up), np.float32)
    for number in range(up):
        start, phase = divmod(number * down, up)
        matrix[start : start + width, number] = taps[phase]
    return matrix


def _filter(up: int, down: int) -> npt.NDArray[np.float32]:
    """A row of taps for each phase: a windowed sinc, each row of it with a sum of 1."""
    half = math.ceil(_HALF_WIDTH * max(1.0, down / up))  # in samples of the source
    window = np.arange(-half, half + 1)
    distance = np.arange(up)[:, None] / up - window[None, :]
    cutoff = 0.92 * min(1.0, up / down)
    inside = np.clip(1 - (distance / (half + 1)) ** 2, 0, None)
    taps = np.sinc(cutoff * distance) * np.i0(_STEEPNESS * np.sqrt(inside))
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), dtype=np.float32)
