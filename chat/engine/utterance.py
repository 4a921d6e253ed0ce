"""Writes what is let through as clean text: spaces, pauses and marks in order."""

import unicodedata

from chat.engine.symbols import CLAUSE_MARKS, DROPPED, PAUSE, TERMINATORS, WIDE_MARKS, is_cjk

_NO_SPACE_AFTER = WIDE_MARKS | {"", "\n"}


class Utterance:
    """Collects spoken text and knows where in a sentence it stands.

    Spaces and pauses are written only before the next word, so that they never pile up and
    never stand before a mark.

    Args:
        chinese: Whether signs are read in Chinese before any letter has shown the language.
    """

    def __init__(self, *, chinese: bool) -> None:
        self.chinese = chinese
        self.in_sentence = False
        self._chinese_line = False
        self._out: list[str] = []
        self._last = ""
        self._space = False
        self._pause = False

    def take(self) -> str:
        """What was written since the last call."""
        text = "".join(self._out)
        self._out.clear()
        return text

    def space(self) -> None:
        """A space comes before the next word."""
        self._space = True

    def pause(self) -> None:
        """A short pause comes before the next word, if one before it is still open."""
        self._pause = True

    def char(self, char: str) -> None:
        """Write one character of the reply as it is, if it can be spoken."""
        if char == "\n":
            self._end_line()
        elif char == PAUSE:
            self._pause = True
        elif char.isspace():
            self._space = True
        elif char in TERMINATORS or char in CLAUSE_MARKS:
            self._punctuate(char)
        elif char not in DROPPED:
            self._by_category(char)

    def word(self, text: str) -> None:
        """Write a word or number as it is."""
        self._join()
        self.in_sentence = True
        if any(is_cjk(char) for char in text):
            self.chinese = self._chinese_line = True
        elif text.isalpha() and not self._chinese_line:
            self.chinese = False
        self._emit(text)

    def _by_category(self, char: str) -> None:
        category = unicodedata.category(char)
        if category[0] == "M":  # accents belong to a letter, all others to an emoji
            if self._last.isalpha() and not "\ufe00" <= char <= "\ufe0f" and category != "Me":
                self._emit(char)
        elif category[0] in "LN":
            self.word(unicodedata.normalize("NFKC", char) if category == "No" else char)
        elif category[0] == "P" or category in ("Sc", "Sm"):
            self._join()
            self._emit(char)

    def _punctuate(self, mark: str) -> None:
        # A mark that ends nothing (doubled, or after a direction) would only be a hiccup.
        repeated = mark in CLAUSE_MARKS and self._last in CLAUSE_MARKS
        if self.in_sentence and not repeated:
            self._emit(mark)
        if mark in TERMINATORS:
            self.in_sentence = False

    def _end_line(self) -> None:
        if self._last and self._last != "\n":
            self._emit("\n")
        self._space = self._pause = self.in_sentence = self._chinese_line = False

    def _join(self) -> None:
        if self._pause and self._last.isalnum():
            self._out.append("，" if self.chinese else ", ")
        elif (self._space or self._pause) and self._last not in _NO_SPACE_AFTER:
            self._out.append(" ")
        self._space = self._pause = False

    def _emit(self, text: str) -> None:
        self._out.append(text)
        self._last = text[-1]
