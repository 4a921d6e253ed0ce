"""How many events a client may send."""

from collections.abc import Callable

EVENTS_A_SECOND = 200
# Speech that was recorded before may come at once: 100 s of it in pieces of 100 ms.
_AUDIO_AT_ONCE = 1_000


class EventRate:
    """Two buckets: one for audio, one for all else.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._audio = _Bucket(_AUDIO_AT_ONCE, clock())
        self._others = _Bucket(EVENTS_A_SECOND, clock())

    def allows(self, kind: object) -> bool:
        """Whether an event of this type may be taken now."""
        bucket = self._audio if kind == "input_audio_buffer.append" else self._others
        return bucket.take(self._clock())


class _Bucket:
    def __init__(self, size: int, now: float) -> None:
        self._size = self._left = float(size)
        self._at = now

    def take(self, now: float) -> bool:
        self._left = min(self._size, self._left + (now - self._at) * EVENTS_A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
