"""Streaming conversion of the sample rate."""

import numpy as np
import soxr


class Resampler:
    """PCM16 mono from one rate to another, piece by piece, without clicks at the seams.

    Quick, and late: soxr's ``LQ`` holds back 11 ms of speech from 24 to 16 kHz, 32 ms from
    8 kHz. Where that counts, see ``voice.audio.polyphase``. Not for use by two threads at once.

    Args:
        source_rate: Hz of what is fed.
        target_rate: Hz of what comes out.
        quality: soxr's recipe: ``QQ``, ``LQ``, ``MQ``, ``HQ`` or ``VHQ``.

    Raises:
        ValueError: A rate is not positive, or the quality is unknown.
    """

    def __init__(self, source_rate: int, target_rate: int, *, quality: str = "LQ") -> None:
        self._stream = soxr.ResampleStream(
            source_rate, target_rate, 1, dtype="int16", quality=quality
        )
        self._same = source_rate == target_rate

    def feed(self, pcm: bytes) -> bytes:
        """What is ready so far; may be empty.

        Raises:
            ValueError: ``pcm`` ends within a sample.
        """
        samples = np.frombuffer(pcm, dtype="<i2")  # raises ValueError on an odd length
        if self._same or not len(samples):
            return pcm
        return bytes(self._stream.resample_chunk(samples).tobytes())

    def flush(self) -> bytes:
        """The rest. Afterwards the resampler is ready for a new signal."""
        if self._same:
            return b""
        rest = self._stream.resample_chunk(np.empty(0, dtype=np.int16), last=True)
        self._stream.clear()
        return bytes(rest.tobytes())
