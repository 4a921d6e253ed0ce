"""From what a model writes to what a voice says.

The filter stands before the segmenter: it sees the reply as a stream and lets through what
is to be spoken. A sign whose meaning depends on what follows is held back until that has
come, so the result never depends on how the stream was cut.
"""

import re
from collections.abc import Callable
from typing import Final

from chat.engine.directions import has_words, is_aside, is_emphasis, quoted_speech
from chat.engine.markup import BRACKETS, Taken, closing_asterisk, closing_bracket, line_mark
from chat.engine.symbols import (
    CURRENCIES,
    EMOTICONS,
    HALF_WIDTH,
    KAOMOJI_ARMS,
    NAMES,
    OPERATORS,
    PAUSE,
    prefixes,
)
from chat.engine.utterance import Utterance

_URL_SCHEMES: Final = ("http://", "https://", "www.")
_HIDDEN: Final = frozenset(("think", "thinking", "thought", "reasoning", "script", "style"))
_LITERALS: Final = EMOTICONS | NAMES.keys() | frozenset(_URL_SCHEMES)
_LITERAL_PREFIXES: Final = prefixes(_LITERALS)
_LITERAL_LENGTH: Final = max(map(len, _LITERALS))
_LONGEST_URL: Final = 2048
_LONGEST_NUMBER: Final = 64
_NUMBER = re.compile(r"(?:\d+(?:[.,:]\d+)*|\.\d+)")
_OPEN_NUMBER = re.compile(r"(?:\d+(?:[.,:]\d+)*[.,:]?|\.\d*)\Z")
_TAG = re.compile(r"<(/?)([A-Za-z|!][^<>\n]{0,200})>")
_OPEN_TAG = re.compile(r"</?(?:[A-Za-z|!][^<>\n]{0,200})?\Z")
_URL = re.compile(r"(?:https?://)?(?:www\.)?([A-Za-z0-9.-]*[A-Za-z0-9])?[!-~]*")


class SpeakableFilter:
    """Lets through what is spoken: no stage directions, markup, emoji or hidden thoughts.

    An opening bracket or asterisk holds the text back until its partner comes. If the line
    ends first, or ``DIRECTION_LIMIT`` characters have come, it was a slip: the sign is
    dropped and what it held is spoken. Code fences and hidden thoughts are dropped to their
    end, or to the end of the reply. Not safe for use by several tasks at once.

    Args:
        language: ``zh`` or ``en``: how signs are read before any letter has shown it.
    """

    def __init__(self, language: str = "zh") -> None:
        self._utterance = Utterance(chinese=not language.lower().startswith("en"))
        self._held = ""
        self._before = "\n"  # the character of the input that was dealt with last
        self._line_start = True
        self._hidden_until = ""
        self._rules: tuple[Callable[[str, bool], Taken], ...] = (
            self._line_markup,
            self._literal,
            self._number,
            self._bracket,
            self._asterisk,
            self._tag,
            self._sign,
        )

    def feed(self, text: str) -> str:
        """Take the next piece of the reply; return what can be spoken by now, maybe nothing."""
        self._held += text.translate(HALF_WIDTH)
        return self._run(final=False)

    def flush(self) -> str:
        """The reply has ended: return the rest. Each reply needs a filter of its own."""
        return self._run(final=True)

    def _run(self, *, final: bool) -> str:
        while self._held:
            taken = self._hidden(self._held, final) if self._hidden_until else self._next(final)
            if taken is None:
                break
            if taken:
                self._before = self._held[taken - 1]
                self._held = self._held[taken:]
        return self._utterance.take()

    def _next(self, final: bool) -> Taken:
        held = self._held
        for rule in self._rules:
            taken = rule(held, final)
            if taken != 0 or self._held is not held:
                if taken and not held[taken - 1].isspace():
                    self._line_start = False
                return taken
        self._line_start = held[0] == "\n" or (self._line_start and held[0].isspace())
        self._utterance.char(held[0])
        return 1

    # Rules. Each looks at the start of what is held.

    def _hidden(self, held: str, final: bool) -> Taken:
        end = held.lower().find(self._hidden_until)
        if end >= 0:
            end += len(self._hidden_until)
            self._hidden_until = ""
            return end
        if final:
            return len(held)
        return max(0, len(held) - len(self._hidden_until) + 1) or None

    def _line_markup(self, held: str, final: bool) -> Taken:
        fence = held[:3]
        if fence in ("```", "~~~"):
            self._hidden_until = fence
            return 3
        if fence in ("`", "``", "~", "~~"):
            return 0 if final else None
        return line_mark(held, final) if self._line_start else 0

    def _literal(self, held: str, final: bool) -> Taken:
        """Emoticons, signs with a name and addresses: the longest that fits."""
        length = 0
        while length < len(held) and held[: length + 1] in _LITERAL_PREFIXES:
            length += 1
        if length == len(held) and length < _LITERAL_LENGTH and not final:
            return None
        while length and held[:length] not in _LITERALS:
            length -= 1
        literal = held[:length]
        if not literal:
            return 0
        if literal in NAMES:
            self._replace(length, NAMES[literal][not self._utterance.chinese])
            return 0
        if literal in _URL_SCHEMES:
            return self._address(held, final)
        if len(held) == length and not final:
            return None
        glued = literal[0].isalnum() and self._before.isalnum() and self._before.isascii()
        after = held[length : length + 1]
        if glued or (literal[-1].isalnum() and after.isalnum() and after.isascii()):
            return 0
        return length

    def _address(self, held: str, final: bool) -> Taken:
        match = _URL.match(held, 0, _LONGEST_URL)
        assert match is not None
        if match.end() == len(held) < _LONGEST_URL and not final:
            return None
        end = len(match[0].rstrip(".,;:!?)'\"*"))  # these belong to the sentence
        self._replace(end, f" {match[1]} " if match[1] else "")
        return 0

    def _number(self, held: str, final: bool) -> Taken:
        currency = CURRENCIES.get(held[0])
        start = 1 if currency else 0
        if len(held) == start and not final:
            return None
        digits = held[start : start + _LONGEST_NUMBER]
        if not currency and not (held[0].isdecimal() or (held[0] == "." and held[:2] != "..")):
            return 0
        if held[0] == "." and self._before.isalnum():
            return 0
        if _OPEN_NUMBER.match(digits) and len(digits) < _LONGEST_NUMBER and not final:
            return None
        match = _NUMBER.match(digits)
        if match is None:
            return 0
        number, end = match[0], start + match.end()
        if held[end : end + 1] == "%":
            number = f"百分之{number}" if self._utterance.chinese else f"{number} percent"
            end += 1
        elif currency:
            number += currency[not self._utterance.chinese]
        self._utterance.word(number)
        return end

    def _bracket(self, held: str, final: bool) -> Taken:
        image = held[0] == "!"
        if image and len(held) == 1 and not final:
            return None
        opener = held[1:2] if image else held[0]
        if (image and opener != "[") or opener not in BRACKETS:
            return 0
        close = closing_bracket(held, BRACKETS[opener], final)
        if close is None:
            return None
        if close < 0:
            self._utterance.pause()
            return 1
        content = held[held.index(opener) + 1 : close]
        if opener == "[":
            return self._link(held, content, close, final, image=image)
        glued = opener == "(" and self._before.isalnum() and self._before.isascii()
        if glued and content.isascii() and len(content) <= 3:
            self._replace(close + 1, content)  # item(s), f(x)
        elif opener in "（(" and is_aside(
            content, wide=opener == "（", mid_sentence=self._utterance.in_sentence
        ):
            self._replace(close + 1, f"{PAUSE}{content}{PAUSE}")
        else:
            end = close + 1
            if not has_words(content):
                while held[end : end + 1] in KAOMOJI_ARMS:
                    end += 1
                if end == len(held) and not final:
                    return None
            self._act(end, content)
        return 0

    def _link(self, held: str, content: str, close: int, final: bool, *, image: bool) -> Taken:
        if close + 1 == len(held) and not final:
            return None
        if held[close + 1 : close + 2] == "(":
            end = closing_bracket(held[close + 1 :], "()", final)
            if end is None:
                return None
            if end >= 0:
                self._replace(close + 2 + end, "" if image else content)
                return 0
        self._act(close + 1, content)
        return 0

    def _asterisk(self, held: str, final: bool) -> Taken:
        if held[0] != "*":
            return 0
        run = len(held) - len(held.lstrip("*"))
        if run == len(held) and not final:
            return None
        if run > 1:  # bold
            return run
        if held[1:2].isspace() or (self._before.isdecimal() and held[1:2].isdecimal()):
            return self._sign(held, final)
        close = closing_asterisk(held, final)
        if close is None:
            return None
        if close < 0:
            return 1
        content, after = held[1:close], held[close + 1 : close + 2]
        if is_emphasis(
            content, mid_sentence=self._utterance.in_sentence, goes_on=after not in ("", "\n")
        ):
            self._replace(close + 1, content)
        else:
            self._act(close + 1, content)
        return 0

    def _tag(self, held: str, final: bool) -> Taken:
        if held[0] != "<":
            return 0
        if _OPEN_TAG.match(held) and not final:
            return None
        match = _TAG.match(held)
        if match is None:
            return 0
        name = match[2].split()[0].rstrip("/").lower()
        if "://" in name:
            self._replace(match.end(), match[2] + " ")
        elif name in ("br", "p", "li", "div"):
            self._replace(match.end(), "\n")
        elif name in _HIDDEN and not match[1]:
            self._hidden_until = f"</{name}>"
            return match.end()
        else:
            return match.end()
        return 0

    def _sign(self, held: str, final: bool) -> Taken:
        """Operators between operands, dots, underscores and what has no sound."""
        char = held[0]
        if char in OPERATORS:
            rest = held[1:].lstrip(" ")
            if not rest and not final:
                return None
            spaced = self._before == " " and held[1:2] == " "
            numbers = self._before.isdecimal() and held[1:2].isdecimal()
            if rest[:1].isalnum() and (
                spaced or (numbers and char != "-") or (char == "@" and self._before.isalnum())
            ):
                self._replace(1, OPERATORS[char][not self._utterance.chinese])
                return 0
            if char in "~～":
                self._utterance.pause()
            elif char == "-" and held[1:2] == "-":
                self._replace(2, "—")
                return 0
            elif char in "+&-" and (self._before.isalnum() or self._before == char == "+"):
                self._utterance.word(char)  # C++, AT&T, well-known
            return 1
        if char in "._#":
            if len(held) == 1 and not final:
                return None
            if char == "." and held[1:2] == ".":
                dots = len(held) - len(held.lstrip("."))
                if dots == len(held) and not final:
                    return None
                self._utterance.char("…")
                return dots
            if char == "_":
                if self._before.isalnum() and held[1:2].isalnum():
                    self._utterance.space()
                return 1
            return int(char == "#")
        return 0

    def _replace(self, length: int, text: str) -> None:
        """Put ``text`` in the place of the first ``length`` held characters."""
        self._held = text + self._held[length:]

    def _act(self, length: int, direction: str) -> None:
        """Leave a direction out; what is said in it is still said."""
        said = PAUSE.join(quoted_speech(direction))
        self._line_start = False
        self._replace(length, f"{PAUSE}{said}{PAUSE}")


def speakable(text: str, language: str = "zh") -> str:
    """What a voice says of a whole text; empty when there is nothing to say.

    Args:
        text: As a model wrote it.
        language: ``zh`` or ``en``: how signs are read where the text does not show it.
    """
    spoken = SpeakableFilter(language)
    said = (spoken.feed(text) + spoken.flush()).strip()
    return said if any(char.isalnum() for char in said) else ""
