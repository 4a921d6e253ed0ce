"""Written English to words: numbers, money, times, dates, abbreviations, symbols."""

import re
from collections.abc import Callable

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_CURRENCIES = {  # sign: (one, many, one of the small coin, many of them)
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yuan", "yuan", "fen", "fen"),
    "￥": ("yuan", "yuan", "fen", "fen"),
}
_ABBREVIATIONS = {
    "mr": "mister",
    "mrs": "missus",
    "ms": "miz",
    "dr": "doctor",
    "prof": "professor",
    "st": "saint",
    "sgt": "sergeant",
    "capt": "captain",
    "gen": "general",
    "jr": "junior",
    "sr": "senior",
    "vs": "versus",
    "etc": "et cetera",
    "approx": "approximately",
    "dept": "department",
    "est": "estimated",
    "fig": "figure",
    "vol": "volume",
}
_UNITS = {  # after a number
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "m": "meters",
    "kg": "kilograms",
    "g": "grams",
    "mg": "milligrams",
    "ml": "milliliters",
    "l": "liters",
    "km/h": "kilometers per hour",
    "mph": "miles per hour",
    "hz": "hertz",
    "khz": "kilohertz",
    "ms": "milliseconds",
    "s": "seconds",
    "h": "hours",
    "min": "minutes",
    "lbs": "pounds",
    "gb": "gigabytes",
    "mb": "megabytes",
    "kb": "kilobytes",
    "ft": "feet",
    "°": "degrees",
    "°c": "degrees Celsius",
    "°f": "degrees Fahrenheit",
    "%": "percent",
    "℃": "degrees Celsius",
}
_SYMBOLS = {
    "%": " percent ",
    "&": " and ",
    "+": " plus ",
    "=": " equals ",
    "@": " at ",
    "#": " hash ",
    "°": " degrees ",
    "×": " times ",
    "÷": " divided by ",
    "_": " ",
    "/": " slash ",
}

_UNIT_PATTERN = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"


def cardinal(number: int) -> str:
    """``2042`` → ``two thousand and forty two``; above the scales, digit by digit."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f" {_ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = f" and {cardinal(number % 100)}" if number % 100 else ""
        return f"{_ONES[number // 100]} hundred{rest}"
    if number >= 1000 ** len(_SCALES):
        return digits(str(number))
    power = (len(str(number)) - 1) // 3
    head, rest = divmod(number, 1000**power)
    joint = " and " if 0 < rest < 100 else " "
    return f"{cardinal(head)} {_SCALES[power]}" + (joint + cardinal(rest) if rest else "")


def ordinal(number: int) -> str:
    """``21`` → ``twenty first``."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{head} {last}".strip()


def year(number: int) -> str:
    """``1905`` → ``nineteen oh five``; ``2007`` → ``two thousand and seven``."""
    head, rest = divmod(number, 100)
    if head % 10 == 0 and rest < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(head)} hundred"
    return f"{cardinal(head)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(text: str) -> str:
    """Each digit by its name."""
    return " ".join(_ONES[int(digit)] for digit in text if digit.isdecimal())


def spell_out(text: str) -> str:
    """Replace all that is not a word or punctuation by the words a reader would say."""
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    return text


def _number(text: str) -> str:
    whole, _, fraction = text.replace(",", "").partition(".")
    if len(whole) > 18 or (len(whole) > 1 and whole.startswith("0")):
        said = digits(whole)
    else:
        said = cardinal(int(whole))
    return f"{said} point {digits(fraction)}" if fraction else said


def _plain(match: re.Match[str]) -> str:
    sign, text = ("minus " if match[1] else ""), match[2]
    if not sign and re.fullmatch(r"1[1-9]\d\d|20\d\d", text):
        return f" {year(int(text))} "
    if len(text) >= 7 and text.isdecimal():  # a telephone number, an order number
        return f" {digits(text)} "
    return f" {sign}{_number(text)} "


def _money(match: re.Match[str]) -> str:
    one, many, small_one, small_many = _CURRENCIES[match[1]]
    amount, scale = match[2].replace(",", ""), match[3]
    if scale:
        return f" {_number(amount)} {scale} {many} "
    whole, _, fraction = amount.partition(".")
    said = f"{_number(whole)} {one if whole == '1' else many}"
    if not fraction or not int(fraction):
        return f" {said} "
    small = int(f"{fraction:0<2}"[:2])
    coins = f"{cardinal(small)} {small_one if small == 1 else small_many}"
    return f" {coins} " if whole == "0" else f" {said} and {coins} "


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), int(match[2]), match[3]
    said = cardinal(hour)
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif not half:
        said += " o'clock" if 0 < hour <= 12 else " hundred"
    return f" {said} {' '.join(half.replace('.', '').upper()) if half else ''} "


def _date(match: re.Match[str]) -> str:
    return f" {_MONTHS[int(match[2]) - 1]} {ordinal(int(match[3]))}, {year(int(match[1]))} "


def _unit(match: re.Match[str]) -> str:
    name, sign = _UNITS[match[3].lower()], "minus " if match[1] else ""
    single = name[:-1] if match[2] == "1" and name.endswith("s") and " " not in name else name
    return f" {sign}{_number(match[2])} {single} "


def _decade(match: re.Match[str]) -> str:
    said = year(int(match[1]))
    return f" {said[:-1]}ies " if said.endswith("y") else f" {said}s "


def _abbreviation(match: re.Match[str]) -> str:
    return _ABBREVIATIONS[match[1].lower()]


_Say = str | Callable[[re.Match[str]], str]
_RULES: tuple[tuple[re.Pattern[str], _Say], ...] = (
    (re.compile(r"[’‘ʼ＇]"), "'"),
    (re.compile(r"\be\.g\.", re.IGNORECASE), "for example"),
    (re.compile(r"\bi\.e\.", re.IGNORECASE), "that is"),
    (re.compile(r"\b([ap])\.m\.", re.IGNORECASE), r"\1m"),
    (re.compile(r"\bNo\.(?=\s*\d)"), "number"),
    (re.compile(rf"\b({'|'.join(_ABBREVIATIONS)})\.", re.IGNORECASE), _abbreviation),
    (re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|vs)\b(?!\.)"), _abbreviation),
    (re.compile(r"\b([A-Z])\.(?=[A-Z]\b)"), r"\1 "),  # U.S.A.
    (re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b"), _date),
    (
        re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?:\s?([ap]\.?m\.?)(?![a-z]))?", re.IGNORECASE),
        _time,
    ),
    (
        re.compile(rf"([$£€¥￥])\s?({_NUMBER})(?:\s?(thousand|million|billion|trillion)\b)?"),
        _money,
    ),
    (re.compile(r"\b(1[1-9]\d0|20\d0|[2-9]0)'?s\b"), _decade),
    (
        re.compile(
            rf"(?:(?<![\w.)])(-))?({_NUMBER})\s?({_UNIT_PATTERN})(?![A-Za-z])", re.IGNORECASE
        ),
        _unit,
    ),
    (re.compile(r"\b(\d+)(?:st|nd|rd|th)\b"), lambda m: f" {ordinal(int(m[1]))} "),
    (re.compile(r"(?<=\d)\s?[-–]\s?(?=\d)"), " to "),
    (re.compile(rf"(?:(?<![\w.)])(-))?({_NUMBER})"), _plain),
    (re.compile(r"(?<=[A-Za-z])\.(?=[A-Za-z]{2})"), " dot "),  # example.com
    (re.compile("[" + re.escape("".join(_SYMBOLS)) + "]"), lambda m: _SYMBOLS[m[0]]),
)
