"""Cuts a stream of speakable text into segments, each one request to a voice.

The first segment may end at the first clause, so that the first audio comes early; later
ones are whole sentences. Where a segment ends depends only on the text, never on how the
stream was cut. How much is sent at once, on the other hand, depends on how much audio is
waiting to be heard: that is ``chat.engine.segment_queue``.
"""

import re
from typing import Final

from chat.engine.symbols import is_cjk

CJK_SECONDS: Final = 0.22
OTHER_SECONDS: Final = 0.07

_FINAL: Final = frozenset("。！？；…")
_ASCII_FINAL: Final = frozenset(".!?;")
_CLAUSE: Final = frozenset("，、：")
_ASCII_CLAUSE: Final = frozenset(",:")
_DASHES: Final = frozenset("—–")
_OPENERS: Final = frozenset("“「『（《【(")
_CLOSERS: Final = frozenset("”」』）》】)")
_STRAIGHT: Final = frozenset("\"'’")
_KEPT_AT_START: Final = frozenset("“「『（《【(\"'‘’·-+±$€£¥￥#@&")
_CLOSING: Final = "".join(sorted(_CLOSERS | _STRAIGHT))
_MAY_END: Final = _FINAL | _ASCII_FINAL | _CLOSERS | _STRAIGHT
_TITLES = re.compile(
    r"(?:^|[^A-Za-z.])(?:Mr|Mrs|Ms|Mx|Dr|Prof|St|Gen|Col|Capt|Lt|Sgt|Rev|Hon|Fr|Mt|vs|cf|Fig|No|"
    r"Messrs|e\.g|i\.e|(?:[A-Z]\.)*[A-HJ-Z])\.$"
)
# They may end a sentence; whether they do shows in the next letter.
_AMBIGUOUS = re.compile(r"(?:^|[^A-Za-z])(?:etc|[ap]\.m|Jr|Sr|Inc|Ltd|Co|Corp|approx|ca|al)\.$")


def spoken_seconds(text: str) -> float:
    """About how long a voice takes for a text, at a usual pace."""
    return sum(
        CJK_SECONDS if is_cjk(char) else OTHER_SECONDS for char in text if not char.isspace()
    )


class Segmenter:
    """One reply's text in pieces, its segments out.

    Segments keep the order and the words of the text. Whitespace around them is dropped,
    and so is punctuation that would stand alone. A terminator of Chinese is final at once,
    except inside quotes or brackets, where the closing sign still belongs to the segment;
    one of ASCII needs to see what follows. Not safe for use by several tasks at once.

    Args:
        first: Seconds of speech from which on the first segment may end at a clause.
        shortest: Seconds of speech a sentence needs to stand alone; less ("1.", "Oh!")
            goes on into the next one.
        longest: Seconds of speech after which a sentence is cut, at its last clause mark,
            else its last space, else right there. 14 s are 200 Latin letters or 63 Chinese
            characters, which every provider takes in one request.
    """

    def __init__(self, *, first: float = 0.8, shortest: float = 0.4, longest: float = 14.0) -> None:
        if not 0 <= shortest <= longest or not 0 <= first <= longest:
            raise ValueError("0 <= shortest, first <= longest is needed")
        self._first = first
        self._shortest = shortest
        self._longest = longest
        self._text = ""  # the segment so far
        self._seconds = 0.0  # of speech in it
        self._ahead = ""  # what has come after it, while it is not clear whether it is one
        self._depth = 0
        self._quoted = False
        self._begun = False

    def feed(self, text: str) -> list[str]:
        """Take the next piece of text; return the segments that are complete by now."""
        segments: list[str] = []
        for char in text:
            self._ahead += char
            self._advance(segments, final=False)
        return segments

    def flush(self) -> list[str]:
        """The text has ended: return the rest. Each reply needs a segmenter of its own."""
        segments: list[str] = []
        self._advance(segments, final=True)
        self._cut(segments, len(self._text))
        return segments

    def _advance(self, segments: list[str], *, final: bool) -> None:
        while self._ahead and self._move(segments, final=final):
            pass

    def _move(self, segments: list[str], *, final: bool) -> bool:
        """Take one character into the segment, cut after it if it ends there.

        Returns:
            False where what comes next decides.
        """
        char = self._ahead[0]
        text = self._text + char
        if char == "\n":
            verdict: bool | None = True
            self._depth, self._quoted = 0, False
        else:
            verdict = self._sentence_end(text, self._ahead[1:], final=final)
            if verdict is False:
                verdict = self._clause_end(text, self._ahead[1:], final=final)
        if verdict is None:
            return False
        self._ahead = self._ahead[1:]
        self._text = text
        self._seconds += spoken_seconds(char)
        self._track(char)
        if verdict and self._seconds >= self._shortest:
            self._cut(segments, len(text))
        elif self._seconds > self._longest:
            self._cut(segments, self._best_cut())
        return True

    def _sentence_end(self, text: str, ahead: str, *, final: bool) -> bool | None:
        if text[-1] not in _MAY_END:
            return False
        core = text.rstrip(_CLOSING)
        if not core:
            return False
        mark = core[-1]
        ascii_mark = mark in _ASCII_FINAL or (mark == "…" and core[-2:-1].isascii())
        if mark not in _FINAL and not ascii_mark:
            return False
        char = text[-1]
        closes = len(core) < len(text)
        open_after = self._depth - (char in _CLOSERS) > 0 or self._quoted != (char == '"')
        if not ascii_mark:
            # Inside quotes the closing sign may be next; outside nothing is waited for.
            if not open_after:
                return True
            return self._not_before_closer(ahead, final=final)
        if not ahead:
            return True if final else None
        following = ahead[0]
        if following in _CLOSERS or following in _STRAIGHT or following in _ASCII_FINAL:
            return False
        if following == "…":
            return False
        if not following.isspace():
            return is_cjk(following) or following in _OPENERS
        if not closes and _TITLES.search(core):
            return False
        if closes or mark == "…" or _AMBIGUOUS.search(core):
            after = ahead.lstrip(" \t")
            if not after:
                return True if final else None
            return not after[0].islower()
        return True

    @staticmethod
    def _not_before_closer(ahead: str, *, final: bool) -> bool | None:
        if not ahead:
            return True if final else None
        return ahead[0] not in _CLOSERS and ahead[0] not in _STRAIGHT

    def _clause_end(self, text: str, ahead: str, *, final: bool) -> bool | None:
        """Only the first segment ends at a clause, once it is long enough to be worth it."""
        char = text[-1]
        if self._begun or self._seconds + spoken_seconds(char) < self._first:
            return False
        if char in _CLAUSE:
            return True
        if char not in _ASCII_CLAUSE and char not in _DASHES:
            return False
        if not ahead:
            return True if final else None
        return ahead[0].isspace() or (char in _DASHES and ahead[0] not in _DASHES)

    def _track(self, char: str) -> None:
        if char in _OPENERS:
            self._depth += 1
        elif char in _CLOSERS:
            self._depth = max(0, self._depth - 1)
        elif char == '"':
            self._quoted = not self._quoted

    def _best_cut(self) -> int:
        """Where to cut a sentence that is too long: not in its first third, if possible."""
        text = self._text
        least = len(text) // 3
        clauses = [
            index + 1
            for index, char in enumerate(text[:-1])
            if char in _CLAUSE
            or (char in _ASCII_CLAUSE and text[index + 1].isspace())
            or (char in _DASHES and text[index + 1] not in _DASHES)
        ]
        spaces = [index + 1 for index, char in enumerate(text) if char.isspace()]
        for cuts in (clauses, spaces):
            if cuts and cuts[-1] > least:
                return cuts[-1]
        return len(text)

    def _cut(self, segments: list[str], length: int) -> None:
        segment = " ".join(self._text[:length].split())
        # What is left of a mark after its sentence was final belongs to no sentence.
        while segment and not segment[0].isalnum() and segment[0] not in _KEPT_AT_START:
            segment = segment[1:].lstrip()
        if any(char.isalnum() for char in segment):
            segments.append(segment)
            self._begun = True
        self._text = self._text[length:]
        self._seconds = spoken_seconds(self._text)
