"""What of a text has been spoken, by what the service tells of its sentences."""

import re

# Where the service ends a sentence by itself; brackets and quotes behind it belong to it.
_SENTENCE_END = re.compile(r"""(?:[。！？!?；;…\n]+|\.(?=\s))[”’」』）)"'\s]*""")
_OPENING = frozenset("“‘「『（(《〈【[")


def ends_a_sentence(text: str) -> bool:
    """Whether the service would speak all of ``text`` without waiting for more."""
    return not text or _last_end(text) == len(text)


def pieces_of(text: str, longest: int) -> list[str]:
    """``text`` cut behind sentences into pieces of at most ``longest`` characters.

    A sentence that is longer is cut anywhere.
    """
    pieces: list[str] = []
    while len(text) > longest:
        end = _last_end(text[:longest]) or longest
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text] if text else pieces


class Unspoken:
    """Keeps the text that was handed over, and takes from it what is spoken.

    Attributes:
        waiting: What no sentence has begun with yet.
    """

    def __init__(self) -> None:
        self.waiting = ""
        self._due = 0  # characters of ``waiting`` that the service speaks without more text
        self._current = ""
        self._within = False

    def add(self, text: str) -> None:
        """Text was handed over."""
        self.waiting += text
        self._due = max(self._due, _last_end(self.waiting))

    def flush(self) -> None:
        """All of it is to be spoken now."""
        self._due = len(self.waiting)

    def begin(self, sentence: str = "") -> str:
        """A sentence begins. Gives the part of the text that it is.

        A sentence that is not found as it was written (numbers are read out as words)
        stands for all that is due.

        Args:
            sentence: As the service tells it; empty where it tells nothing.
        """
        self._within = bool(sentence)
        end = _found(sentence, self.waiting) if sentence else 0
        end = end or self._due or len(self.waiting)
        self._current, self.waiting = self.waiting[:end], self.waiting[end:]
        self._due = max(0, self._due - end)
        return self._current

    def end(self) -> None:
        """The sentence has been spoken."""
        self._current, self._within = "", False

    def rewind(self) -> None:
        """The sentence that had begun was not heard: it waits again."""
        self.waiting = self._current + self.waiting
        self._due += len(self._current)
        self.end()

    @property
    def owed(self) -> bool:
        """Whether there is text for which audio must come."""
        return self._within or self._due > 0

    @property
    def begun(self) -> bool:
        """Whether a sentence has begun and not ended."""
        return self._within or bool(self._current)


def _last_end(text: str) -> int:
    """Where the last whole sentence of ``text`` ends; 0 where there is none."""
    end = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
    return end


def _found(sentence: str, text: str) -> int:
    """Where ``sentence`` ends, if ``text`` begins with it but for marks; 0 where not."""
    letters = [letter for letter in sentence.casefold() if letter.isalnum()]
    if not letters:
        return 0
    matched = position = 0
    while matched < len(letters) and position < len(text):
        for letter in text[position].casefold():
            if letter.isalnum():
                if matched == len(letters) or letter != letters[matched]:
                    return 0
                matched += 1
        position += 1
    if matched < len(letters):
        return 0
    while position < len(text):
        if text[position].isalnum() or text[position] in _OPENING:
            break
        position += 1
    return position
