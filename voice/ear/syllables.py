"""How Chinese characters sound, about: enough to tell whether two texts are one when heard."""

import functools
import importlib.util
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from voice.ear.wording import is_han, spelled, words

# What recognisers, and half of all speakers, do not tell apart.
_FOLDED = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))


def sounds(text: str) -> list[str]:
    """A text as a row of sounds: a syllable without tone a character, other words as written."""
    return [_syllable(word) if is_han(word) else word for word in words(spelled(text))]


@functools.lru_cache(maxsize=8_192)
def _syllable(char: str) -> str:
    """The first reading of a character; itself where none is known."""
    reading = _readings().get(str(ord(char)), "").partition(",")[0]
    sound = re.sub(r"[^a-z]", "", unicodedata.normalize("NFD", reading))
    for written, heard in _FOLDED:
        sound = sound.replace(written, heard)
    return sound or char


@functools.cache
def _readings() -> Mapping[str, str]:
    """By code point; nothing where no table is installed.

    Only the table is read (15 ms, 7 MB): to import pypinyin costs ten times as much.
    """
    package = importlib.util.find_spec("pypinyin")
    if package is None or not package.submodule_search_locations:
        return {}
    path = Path(package.submodule_search_locations[0], "pinyin_dict.json")
    if not path.is_file():
        return {}
    table: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return table
