"""Where markup begins and ends, in text of which only the beginning may have come.

Each function looks at the start of what is held back. Its answer is the same for the
beginning of a text as for the whole, or it is None: what comes next decides.
"""

import re
from typing import Final

# How many held characters a rule has dealt with: 0 for "not mine", None for "not known yet".
Taken = int | None

DIRECTION_LIMIT: Final = 400
"""Characters an open bracket or asterisk may hold back before it is taken for a slip."""

# Each opening bracket, with the opening and then the closing ones that it pairs with.
BRACKETS: Final = {
    "（": "（(）)",
    "(": "（(）)",
    "【": "【】",
    "[": "[]",
    "［": "［］",
    "〔": "〔〕",
    "〖": "〖〗",
}

_RULE_LINE = re.compile(r"[-|:=_*\s]{3,}\Z")


def line_mark(held: str, final: bool) -> Taken:
    """Headings, quotes, bullets and rules at the start of a line."""
    if held[0] in "-|:=_*":
        line, newline, _ = held.partition("\n")
        if _RULE_LINE.match(line):
            return len(line) if newline or final else None
        if not (newline or final) and not line.strip("-|:=_* \t"):
            return None
    if held[0] == "#":
        marks = len(held) - len(held.lstrip("#"))
        return None if marks == len(held) and not final else marks
    if held[0] in "-+*•>":
        if len(held) == 1 and not final:
            return None
        return 2 if held[1:2].isspace() and held[1] != "\n" else 0
    return 0


def closing_bracket(held: str, brackets: str, final: bool) -> int | None:
    """Where the first bracket in ``held`` is closed: -1 never, None not known yet.

    Args:
        held: Text up to where the stream has come.
        brackets: The opening signs, then as many closing ones.
        final: Nothing follows ``held``.
    """
    half = len(brackets) // 2
    openers, closers = brackets[:half], brackets[half:]
    depth = 0
    for index, char in enumerate(held):
        if char == "\n" or index > DIRECTION_LIMIT:
            return -1
        if char in openers:
            depth += 1
        elif char in closers:
            depth -= 1
            if depth == 0:
                return index
    return -1 if final else None


def closing_asterisk(held: str, final: bool) -> int | None:
    """The same for the single asterisk at the start of ``held``; doubled ones mark bold."""
    index = 1
    while index < len(held):
        char = held[index]
        if char == "\n" or index > DIRECTION_LIMIT:
            return -1
        if char == "*":
            run = len(held) - index - len(held[index:].lstrip("*"))
            if index + run == len(held) and not final:
                return None
            if run == 1:
                return index
            index += run
        else:
            index += 1
    return -1 if final else None
