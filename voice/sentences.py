"""Cuts a text into pieces that a voice takes in one request."""

import re

_SPEAKABLE = re.compile(r"\w")
# A sentence with what closes it and the blank behind it. A dot inside a number or a name
# ends nothing.
_SENTENCE = re.compile(
    r"""[^。！？；…\n]*?(?:[。！？；…]+|[.!?;]+(?=["'”’)\]]*\s)|\n)["'”’」』）)\]]*\s*|.+\Z""",
    re.DOTALL,
)
_CLAUSE = re.compile(r"[，、：,:]\s*|\s+")


def is_speakable(text: str) -> bool:
    """Whether there is anything in a text that can be said."""
    return _SPEAKABLE.search(text) is not None


def sentences(text: str) -> list[str]:
    """The sentences of a text; joined they are the text. None is without words if another has."""
    found: list[str] = []
    for match in _SENTENCE.finditer(text):
        if found and not (is_speakable(match[0]) and is_speakable(found[-1])):
            found[-1] += match[0]
        else:
            found.append(match[0])
    return found


def pieces(text: str, *, longest: int, first: int) -> list[str]:
    """Whole sentences, as many a piece as go into it.

    Args:
        text: Any text with words in it.
        longest: Characters of a piece. A sentence that is longer is cut, at its last clause
            mark or blank if there is any in its second half.
        first: The first piece ends with the first sentence that reaches so many characters,
            for voices that send nothing before they have made a whole piece.

    Returns:
        At least one piece; none is empty or without words.
    """
    found: list[str] = []
    held = ""
    for sentence in sentences(text):
        for part in _parts(sentence, longest):
            enough = longest if found else first
            if held and (len(held) >= enough or len(held) + len(part) > longest):
                found.append(held)
                held = ""
            held += part
    found.append(held)
    return [piece.strip() for piece in found if is_speakable(piece)]


def _parts(sentence: str, longest: int) -> list[str]:
    parts = []
    while len(sentence) > longest:
        cuts = [match.end() for match in _CLAUSE.finditer(sentence, longest // 2, longest)]
        cut = cuts[-1] if cuts else longest
        parts.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*parts, sentence] if sentence else parts
