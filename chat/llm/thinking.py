"""Takes the thoughts out of a streamed reply."""

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkFilter:
    """Drops ``<think>…</think>`` from text that comes in pieces, cut anywhere.

    Servers without a reasoning parser leave a model's thoughts in the reply. Only what
    might become a tag is held back, so that plain text passes at once. White space after
    a block goes with it; a block that is never closed swallows the rest.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._trim = False

    def feed(self, text: str) -> str:
        """The part of the reply that can be told by now; may be empty."""
        self._held += text
        told = []
        while True:
            tag = _CLOSE if self._inside else _OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                break
            told.append(self._tell(before))
            self._inside = not self._inside
            self._trim = True
            self._held = after
        keep = _overlap(self._held, tag)
        cut = len(self._held) - keep
        told.append(self._tell(self._held[:cut]))
        self._held = self._held[cut:]
        return "".join(told)

    def finish(self) -> str:
        """What was held back at the end of the reply."""
        rest, self._held = self._tell(self._held), ""
        return rest

    def _tell(self, text: str) -> str:
        if self._inside:
            return ""
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        return text


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of ``text`` that ``tag`` begins with."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0
