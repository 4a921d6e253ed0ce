"""Tells a stage direction from words that are said.

Role-play text marks what a character does with brackets or asterisks, and the same signs
also mark asides, numbering and emphasis. These rules look only at the marked text and at
whether a sentence has already begun, so that they give the same answer for any stream.
"""

import re
from typing import Final

from chat.engine.symbols import is_cjk

_ENUMERATOR = re.compile(r"[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,4}|[一二三四五六七八九十]{1,3}")
_WORD = re.compile(r"[A-Za-z']+")
# Said by someone: it ends in a mark of its own, or a colon or comma leads to it.
_SPEECH = re.compile(r"([:：,，]\s*)?(?:“([^”]{2,})”|「([^」]{2,})」|\"([^\"]{2,})\")")
_SPEECH_END = frozenset("。！？!?,.，…—~～")
_GESTURE_CJK = frozenset(
    "笑叹摇点皱咳哼抬低转望眨伸拍握站坐走靠哭泪脸红头手眼眉嘴耳肩身挥抱捂揉轻缓沉默顿鞠躬拱咬抿瞪"
)
# fmt: off
_NOT_GESTURES: Final = frozenset((
    "this", "his", "its", "as", "is", "was", "has", "does", "us", "yes", "always", "perhaps",
    "less", "plus", "thus", "unless", "towards", "besides", "others", "ours", "yours", "hers",
    "theirs", "things", "anything", "everything", "something", "nothing", "being", "thing", "king",
    "during", "morning", "evening", "only", "really", "truly", "exactly", "actually", "absolutely",
    "completely", "totally", "finally", "probably", "possibly", "definitely", "particularly",
    "especially", "certainly", "deeply", "family", "any", "many", "years", "days", "times",
))
_STRESSED: Final = frozenset((
    "i", "you", "he", "she", "it", "we", "they", "that", "this", "these", "those", "what", "why",
    "who", "when", "where", "how", "never", "always", "no", "yes", "please", "not", "my", "your",
    "his", "her", "our", "their", "nobody", "everyone", "everything", "nothing", "someone", "now",
    "very", "really", "must", "can", "will", "should", "could", "would", "is", "was", "are", "do",
    "did", "if", "one",
))
# fmt: on


def has_words(text: str) -> bool:
    """Whether there is anything a voice could read: an emoticon in brackets has nothing."""
    return any(is_cjk(char) for char in text) or bool(re.search(r"[0-9]|[A-Za-z]{2,}", text))


def is_aside(content: str, *, wide: bool, mid_sentence: bool) -> bool:
    """Whether text in round brackets is read aloud.

    Args:
        content: The text between the brackets.
        wide: The brackets are the full-width ones of Chinese.
        mid_sentence: Part of a sentence stands before the bracket.
    """
    text = content.strip()
    if _ENUMERATOR.fullmatch(text):
        return True
    if wide or not has_words(text) or any(is_cjk(char) for char in text):
        return False
    return mid_sentence and not _english_gesture(text)


def is_emphasis(content: str, *, mid_sentence: bool, goes_on: bool) -> bool:
    """Whether text between single asterisks is a stressed part of a sentence.

    Args:
        content: The text between the asterisks.
        mid_sentence: Part of a sentence stands before the first asterisk.
        goes_on: The sentence goes on after the second asterisk.
    """
    text = content.strip()
    if any(is_cjk(char) for char in text):
        short = len(text) <= 4 and not _GESTURE_CJK.intersection(text)
        return short and mid_sentence and goes_on
    words = _WORD.findall(text)
    if not words:
        return bool(re.search(r"[0-9]", text))
    if mid_sentence:
        return len(words) <= 3 and not _english_gesture(text)
    return len(words) == 1 and goes_on and words[0].lower() in _STRESSED


def quoted_speech(direction: str) -> list[str]:
    """The words said inside a direction, as in ``*"Run!" he shouts.*``."""
    found = []
    for match in _SPEECH.finditer(direction):
        said = match[2] or match[3] or match[4]
        if match[1] or said[-1] in _SPEECH_END:
            found.append(said)
    return found


def _english_gesture(text: str) -> bool:
    words = _WORD.findall(text)
    if not words:
        return True
    first = words[0].lower()
    return first not in _NOT_GESTURES and bool(re.search(r"(?:[^s]s|ing|ly)$", first))
