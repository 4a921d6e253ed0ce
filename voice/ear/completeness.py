"""Whether what somebody has said so far is a whole, by its words: Chinese and English."""

import re
from typing import Literal

from voice.ear import chinese_endings, english_endings
from voice.ear.wording import is_han, plain, words

Completeness = Literal["complete", "open", "unknown"]

_TRAILS_OFF = re.compile(r"(?:\.{2,}|。{2,}|[—–\-~])\W*$")
_ENDS = re.compile(r"[。.]\W*$")
_ASKS_OR_CALLS = re.compile(r"[?!]\W*$")
_GOES_ON = re.compile(r"[,、:;]\W*$")


def completeness(text: str) -> Completeness:
    """Judge a transcript by how it ends.

    Marks are a hint and no more: some recognisers set none, some end whatever they are
    given with a full stop. A wrong ``complete`` cuts somebody off and a wrong ``open`` makes
    them wait, so ``unknown`` is answered where it could be either.

    Returns:
        ``open`` where it trails off (然后, 因为, and, the …), ``complete`` where it ends as
        sentences and answers do, else ``unknown``.
    """
    said = plain(text)
    spoken = words(said)
    if not spoken:
        return "unknown"
    if _TRAILS_OFF.search(said):
        return "open"
    endings = chinese_endings if is_han(spoken[-1]) else english_endings
    verdict = endings.judge(said, spoken)
    if verdict == "open" or _GOES_ON.search(said):
        return "open" if verdict == "open" else "unknown"
    if verdict == "complete" or _ASKS_OR_CALLS.search(said):
        return "complete"
    return "complete" if verdict is None and _ENDS.search(said) else "unknown"
