"""Chinese to the phonemes Kokoro 1.0 was trained on: words, pinyin, IPA with tone arrows."""

import logging
import re
from collections.abc import Callable
from functools import lru_cache

import cn2an
import jieba
from misaki.zh import ZHG2P
from pypinyin import Style, lazy_pinyin

jieba.setLogLevel(logging.WARNING)

_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
# 2 is 两 before these, unless it is part of a longer number.
_MEASURES = (
    "个位次天年种只条张本把件台辆家间块杯瓶碗口头匹棵座层岁倍遍趟步句段篇名人份对双套场点分钟"
    "小时星期周里斤米公万千"
)
_CURRENCIES = {"$": "美元", "£": "英镑", "€": "欧元", "¥": "元", "￥": "元"}
_UNITS = {
    "km/h": "公里每小时",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "kg": "公斤",
    "mg": "毫克",
    "ml": "毫升",
    "℃": "摄氏度",
    "°C": "摄氏度",
    "°": "度",
    "GB": "吉字节",
    "MB": "兆字节",
    "m": "米",
    "g": "克",
    "m²": "平方米",
    "㎡": "平方米",
}
_UNIT_PATTERN = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"


def say_number(text: str) -> str:
    """``3.14`` → ``三点一四``; long and zero-led numbers digit by digit."""
    whole, _, fraction = text.replace(",", "").partition(".")
    if len(whole) > 16 or (len(whole) > 1 and whole.startswith("0")):
        said = say_digits(whole)
    else:
        said = re.sub(r"^一十", "十", cn2an.an2cn(whole, "low"))
    return f"{said}点{say_digits(fraction)}" if fraction else said


def say_digits(text: str) -> str:
    """Each digit by its name."""
    return "".join(_DIGITS[digit] for digit in text)


def spell_out(text: str) -> str:
    """Replace figures and signs by the characters a reader would say."""
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    return text


def phonemes(text: str) -> str:
    """Phonemes of a run of Chinese characters; characters without a reading are silent."""
    return " ".join(filter(None, (_word(word) for word in jieba.cut(text))))


@lru_cache(maxsize=16_384)
def _word(word: str) -> str:
    syllables = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True)
    # U+032F marks glides in IPA; the model's vocabulary does without.
    return "".join(map(_syllable, syllables)).replace("\u032f", "")


@lru_cache(maxsize=4_096)
def _syllable(pinyin: str) -> str:
    if not re.fullmatch(r"[a-züê]+[1-5]", pinyin):
        return ""  # a character that has no reading comes back as it is
    try:
        return str(ZHG2P.py2ipa(pinyin))
    except (ValueError, KeyError, IndexError, AssertionError):
        return ""  # a syllable outside of Mandarin's table (呒, 嗯 in dialects)


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match[1], match[2], match[3]
    said = f"{'两' if int(hour) == 2 else say_number(str(int(hour)))}点"
    if int(minute):
        said += f"{'零' if int(minute) < 10 else ''}{say_number(str(int(minute)))}分"
    elif not second:
        return said + "整"
    return said + (f"{say_number(str(int(second)))}秒" if second else "")


def _date(match: re.Match[str]) -> str:
    month, day = say_number(str(int(match[2]))), say_number(str(int(match[3])))
    return f"{say_digits(match[1])}年{month}月{day}日"


def _plain(match: re.Match[str]) -> str:
    text, rest = match[2], match.string[match.end() :]
    sign = "负" if match[1] else ""
    if text == "2" and rest[:1] and rest[0] in _MEASURES:
        return sign + "两"
    if len(text) >= 7 and text.isdecimal() and not rest.startswith(("元", "人", "块", "美元")):
        return sign + say_digits(text)
    return sign + say_number(text)


_Say = str | Callable[[re.Match[str]], str]
_RULES: tuple[tuple[re.Pattern[str], _Say], ...] = (
    (re.compile(r"\b(\d{4})[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])(?!\d)"), _date),
    (re.compile(r"(?<!\d)([01]?\d|2[0-4])[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?!\d)"), _time),
    (re.compile(r"(\d{4})(?=年(?!前|后|来|间))"), lambda m: say_digits(m[1])),
    (
        re.compile(rf"([$£€¥￥])\s?({_NUMBER})\s?([万亿]?)"),
        lambda m: f"{say_number(m[2])}{m[3]}{_CURRENCIES[m[1]]}",
    ),
    (
        re.compile(rf"(-?)({_NUMBER})[%％]"),
        lambda m: f"百分之{'负' if m[1] else ''}{say_number(m[2])}",
    ),
    (
        re.compile(r"(?<![\d/])(\d{1,4})/(\d{1,4})(?![\d/])"),
        lambda m: f"{say_number(m[2])}分之{say_number(m[1])}",
    ),
    (
        re.compile(r"(?<![\d-])(1\d{2})-?(\d{4})-?(\d{4})(?!\d)"),
        lambda m: say_digits(m[1] + m[2] + m[3]),
    ),
    (re.compile(r"(?<=\d)\s?[-–~～—]\s?(?=\d)"), "到"),
    (
        re.compile(rf"(?:(?<![\w.)])(-))?({_NUMBER})\s?({_UNIT_PATTERN})(?![A-Za-z])"),
        lambda m: f"{'负' if m[1] else ''}{say_number(m[2])}{_UNITS[m[3]]}",
    ),
    (re.compile(rf"(?:(?<![\w.)])(-))?({_NUMBER})"), _plain),
    (re.compile(r"[+＋]"), "加"),
    (re.compile(r"[=＝]"), "等于"),
    (re.compile(r"[×✕]"), "乘"),
    (re.compile("÷"), "除以"),
    (re.compile("[〇○]"), "零"),
)
