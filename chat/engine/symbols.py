"""Tables of the speakable filter: what a sign is called, and which signs have no sound."""

from collections.abc import Iterable
from typing import Final

PAUSE: Final = "\ue000"
"""Stands for a short pause inside the filter; private characters of the input never reach it."""

TERMINATORS: Final = frozenset("。！？；!?;….｡")
CLAUSE_MARKS: Final = frozenset("，、：,:—–")

# What is read aloud for a sign, in Chinese and in English.
NAMES: Final[dict[str, tuple[str, str]]] = {
    "℃": ("摄氏度", " degrees Celsius"),
    "°C": ("摄氏度", " degrees Celsius"),
    "℉": ("华氏度", " degrees Fahrenheit"),
    "°F": ("华氏度", " degrees Fahrenheit"),
    "°": ("度", " degrees"),
    "²": ("平方", " squared"),
    "³": ("立方", " cubed"),
    "≈": ("约等于", " is about "),
    "≠": ("不等于", " is not "),
    "≥": ("大于等于", " is at least "),
    "≤": ("小于等于", " is at most "),
    "±": ("正负", " plus or minus "),
    "×": ("乘", " times "),
    "÷": ("除以", " divided by "),
    "&amp;": ("和", " and "),
    "&nbsp;": (" ", " "),
    "&quot;": ('"', '"'),
    "&#39;": ("'", "'"),
    "&lt;": ("", ""),
    "&gt;": ("", ""),
    "→": (PAUSE, PAUSE),
    "•": (PAUSE, PAUSE),
    "|": (PAUSE, PAUSE),
    "｜": (PAUSE, PAUSE),
}

# Read only between two numbers or words; elsewhere they are decoration.
OPERATORS: Final[dict[str, tuple[str, str]]] = {
    "+": ("加", " plus "),
    "=": ("等于", " equals "),
    "*": ("乘", " times "),
    "<": ("小于", " is less than "),
    ">": ("大于", " is more than "),
    "&": ("和", " and "),
    "@": (" at ", " at "),
    "~": ("到", " to "),
    "～": ("到", " to "),
    "-": (PAUSE, PAUSE),
}

CURRENCIES: Final[dict[str, tuple[str, str]]] = {
    "$": ("美元", " dollars"),
    "¥": ("元", " yuan"),
    "￥": ("元", " yuan"),
    "€": ("欧元", " euros"),
    "£": ("英镑", " pounds"),
}

# fmt: off
EMOTICONS: Final = frozenset((
    "^_^", "^^", "^o^", "^-^", "^.^", "^w^", "T_T", "T.T", "T^T", "TAT", "TvT", "QAQ", "QwQ", "QWQ",
    "qwq", "qaq", "OwO", "owo", "UwU", "uwu", ">_<", ">.<", ">w<", "-_-", "-_-#", "-_-||", "=_=",
    "o_o", "O_O", "o_O", "O_o", "O.o", "o.O", "@_@", "._.", "¬_¬", "ಠ_ಠ", "orz", "Orz", "OTZ",
    "XD", "xD", ":)", ":-)", ":(", ":-(", ";)", ";-)", ":D", ":-D", ":P", ":-P", ":p", ":O", ":o",
    "=)", "=D", "=(", ":')", ":'(", ":]", "<3", "</3", "\\o/", "¯\\_(ツ)_/¯", "(ง •̀_•́)ง", "m(_ _)m",
))
# fmt: on

KAOMOJI_ARMS: Final = frozenset("ノﾉづつっゞゝヾヽ")
# Closing brackets stand here because a pair is dealt with at its opening one.
DROPPED: Final = frozenset("`´^{}\\<>#*ヾヽ｀＊◆◇）)】]］〕〗")
WIDE_MARKS: Final = frozenset("，。！？；：、")

# Full-width digits, letters and signs that have rules of their own become ASCII.
_WIDE: Final = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B), 0xFF05)
HALF_WIDTH: Final = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in _WIDE}
    | {PAUSE: "", "\r": "", "\u2028": "\n", "\u2029": "\n"}
)


def prefixes(words: Iterable[str]) -> frozenset[str]:
    """Every beginning of every word, the words themselves included."""
    return frozenset(word[:end] for word in words for end in range(1, len(word) + 1))


def is_cjk(char: str) -> bool:
    """Whether the character is a Chinese, Japanese or Korean one."""
    code = ord(char)
    return (
        0x3400 <= code <= 0x9FFF  # ideographs
        or 0x3040 <= code <= 0x30FF  # kana
        or 0xAC00 <= code <= 0xD7AF  # Hangul
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
        or code in (0x3005, 0x3007)
    )
