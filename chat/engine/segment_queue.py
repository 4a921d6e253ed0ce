"""How much text goes to a voice at once."""

from collections import deque

from chat.engine.segmenter import spoken_seconds
from chat.engine.symbols import is_cjk


class SegmentQueue:
    """Decides how much to synthesise at once, from how much audio is waiting to be heard.

    While little is waiting, one segment goes out at a time, because the listener waits for
    it. While much is waiting, segments are gathered: longer texts sound better and cost
    fewer requests. A text is never longer than the audio that covers its making.

    Args:
        enough: Seconds of waiting audio above which a further segment is waited for.
        longest: Seconds of speech in one text at most; a longer segment goes alone.
    """

    def __init__(self, *, enough: float = 3.0, longest: float = 14.0) -> None:
        self.enough = enough
        self._longest = longest
        self._waiting: deque[str] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, segment: str) -> None:
        """Put a segment at the end of the queue."""
        self._waiting.append(segment)

    def close(self) -> None:
        """No further segment will come: nothing is waited for any more."""
        self._closed = True

    def take(self, buffered: float) -> str | None:
        """The next text to synthesise, or None when it is better, or needed, to wait.

        Ask again when a segment was added, after ``close``, or when the waiting audio has
        fallen to ``enough``; ``len()`` is 0 when there was nothing to give.

        Args:
            buffered: Seconds of audio that are ready and not heard yet.
        """
        if not self._waiting:
            return None
        room = min(buffered, self._longest)
        if (
            not self._closed
            and buffered > self.enough
            and sum(map(spoken_seconds, self._waiting)) < room
        ):
            return None
        text = self._waiting.popleft()
        while self._waiting:
            joined = _join(text, self._waiting[0])
            if spoken_seconds(joined) > room:
                break
            text = joined
            self._waiting.popleft()
        return text


def gap(left: str, right: str) -> str:
    """What stands between two texts that are spoken one after the other: a space, or nothing."""
    if not left or not right or right[0].isspace() or is_cjk(right[0]):
        return ""
    return " " if left[-1].isascii() and not left[-1].isspace() else ""


def _join(left: str, right: str) -> str:
    return left + gap(left, right) + right
