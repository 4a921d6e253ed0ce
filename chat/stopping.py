"""Ends a reply where the client said it should end."""

from collections.abc import Sequence


class StopFilter:
    """Lets a streamed text through up to the first of some sequences.

    What may be the beginning of one is held back until it is known, so the result does not
    depend on how the stream was cut. Feed it nothing more once it has stopped.

    Args:
        sequences: None of them empty.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(sequences)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What can go out by now; ``stopped`` says whether it was the last of it."""
        self._held += text
        found = [(self._held.find(each), len(each)) for each in self._sequences]
        # The one that is complete first counts, as it would if each letter came alone.
        ends = [(start + length, start) for start, length in found if start >= 0]
        if ends:
            self.stopped = True
            end = min(ends)[1]
        else:
            end = len(self._held) - self._pending()
        out, self._held = self._held[:end], self._held[end:]
        return out

    def finish(self) -> str:
        """The text has ended: the rest of it."""
        return "" if self.stopped else self._held

    def _pending(self) -> int:
        """Length of the longest end of the text with which a sequence begins."""
        longest = max(map(len, self._sequences), default=0) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(each.startswith(self._held[-length:]) for each in self._sequences):
                return length
        return 0
