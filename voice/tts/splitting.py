"""Long text in pieces, for providers that take only so much in one request."""

import re

_SPEAKABLE = re.compile(r"\w")
_CLOSERS = "\"'”’」』）)】》"
# A full stop ends a sentence only where a blank or the end follows: 3.14 goes on.
_SENTENCE = re.compile(rf"(?:[。！？!?…；;\n]+|\.+(?=[{_CLOSERS}]*(?:\s|$)))[{_CLOSERS}]*\s*")
_CLAUSE = re.compile(r"[，,、：:—]+\s*")
_BLANK = re.compile(r"\s+")


def split_text(text: str, limit: int, *, short_first: bool = False) -> list[str]:
    """Cut a text where a reader would pause.

    Each piece is as long as it may be: cut after a sentence, else after a clause, else at a
    blank, else anywhere.

    Args:
        text: Any.
        limit: Most characters of a piece.
        short_first: The first piece is the first sentence alone, for providers that send
            nothing before a whole piece is made.

    Returns:
        The pieces, none of them without a word; the text itself where it has none.

    Raises:
        ValueError: ``limit`` is not positive.
    """
    if limit < 1:
        raise ValueError("a piece needs room for a character")
    found, rest = [], text.strip()
    if short_first and (sentence := _SENTENCE.search(rest)) and sentence.end() <= limit:
        found.append(rest[: sentence.end()])
        rest = rest[sentence.end() :]
    while len(rest) > limit:
        at = _last_seam(rest, limit)
        found.append(rest[:at])
        rest = rest[at:].lstrip()
    return [piece.strip() for piece in (*found, rest) if _SPEAKABLE.search(piece)] or [text]


def _last_seam(text: str, limit: int) -> int:
    for seam in (_SENTENCE, _CLAUSE, _BLANK):
        # One character more than the piece may have: what follows a full stop decides.
        ends = [found.end() for found in seam.finditer(text, 0, limit + 1)]
        if within := [end for end in ends if end <= limit]:
            return within[-1]
    return limit
