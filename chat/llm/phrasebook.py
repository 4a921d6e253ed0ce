"""Chooses and fills phrases so that a character does not say the same thing twice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chat.llm.persona_voice import Voice, is_chinese

_TABLES: Final[dict[str, dict[str, list[str]]]] = json.loads(
    Path(__file__).with_name("phrases.json").read_text(encoding="utf-8")
)
_FACTS: Final[dict[bool, dict[str, str]]] = {
    True: {
        "name": "{you}叫{value}",
        "age": "今年{value}岁",
        "job": "做的是{value}",
        "home": "家在{value}",
        "pet": "有个伴叫{value}",
        "like": "喜欢{value}",
        "dislike": "不喜欢{value}",
        "plan": "想{value}",
    },
    False: {
        "name": "your name is {value}",
        "age": "you are {value}",
        "job": "your work: {value}",
        "home": "home is {value}",
        "pet": "you have {value}",
        "like": "you like {value}",
        "dislike": "you can't stand {value}",
        "plan": "you want to {value}",
    },
}


class Phrasebook:
    """The phrases of one reply, in its language and the character's register.

    Args:
        voice: How the character speaks.
        name: The character's name; empty for none.
        chinese: The reply is in Chinese, else in English.
        said: What the character said before, oldest first; avoided where possible.
        seed: Chooses among equals; the same seed chooses the same.
    """

    def __init__(
        self, voice: Voice, *, name: str, chinese: bool, said: Sequence[str], seed: int
    ) -> None:
        register = "zh_classical" if voice.classical else "zh_plain"
        self._phrases = _TABLES[register if chinese else "en"]
        self._voice = voice
        self._said = list(said)
        self._plain_said = [plain(text) for text in said]
        self._seed = seed
        self._chinese = chinese
        self.gap = "" if chinese else " "
        self.you = voice.you if chinese else "you"
        self.me = voice.me if chinese else "I"
        self._name = name or self._phrases["nobody"][0]

    def phrase(self, kind: str, **slots: str) -> str:
        """A phrase of a kind, its slots filled: one not said yet, else the one said longest ago."""
        options = self._phrases[kind]
        start = self._seed % len(options)
        values = {"you": self.you, "me": self.me, "name": self._name, **slots}
        values |= {key.capitalize(): text[:1].upper() + text[1:] for key, text in slots.items()}
        filled = [
            option.format(**values).strip() for option in (*options[start:], *options[:start])
        ]
        return min(filled, key=self._last_said)

    def _last_said(self, text: str) -> int:
        turns = [turn for turn, said in enumerate(self._said, 1) if text in said]
        return turns[-1] if turns else 0

    def dressed(self, text: str) -> str:
        """Now and then with a gesture or a saying of the character's own before it."""
        last = self._said[-1] if self._said else ""
        gestures = [
            gesture
            for gesture in self.fitting(self._voice.gestures)
            if not any(gesture in said for said in self._said[-8:])
        ]
        if gestures and self._seed % 3 == 0 and last[:1] not in ("（", "*"):
            return gestures[self._seed // 3 % len(gestures)] + self.gap + text
        sayings = [s for s in self.fitting(self._voice.catchphrases) if s not in last]
        if sayings and self._seed % 5 == 1:
            saying = sayings[self._seed // 5 % len(sayings)]
            return f"{saying}。{text}" if self._chinese else f"{saying}. {text}"
        return text

    def fitting(self, lines: Sequence[str]) -> list[str]:
        """Those lines that are in the language of this reply."""
        return [line for line in lines if is_chinese(line) == self._chinese]

    def fresh(self, lines: Sequence[str]) -> list[str]:
        """Those of the fitting lines that were not said yet."""
        return [line for line in self.fitting(lines) if not self.was_said(line)]

    def one_fresh(self, lines: Sequence[str]) -> str:
        """One of the fresh lines, empty for none."""
        fresh = self.fresh(lines)
        return fresh[self._seed % len(fresh)] if fresh else ""

    def was_said(self, text: str) -> bool:
        """Whether the character has said this before, in these words."""
        wanted = plain(text)
        return any(wanted in said for said in self._plain_said)

    def quote(self, text: str) -> str:
        """A person's words as they stand between quotation marks."""
        bare = text.strip().rstrip("。.！!~～")
        return bare if self._chinese or bare.endswith("?") else f"{bare}."

    def listed(self, values: Sequence[str]) -> str:
        """Several things in a row."""
        return ("、" if self._chinese else ", ").join(values)

    def facts(self, values: dict[str, str]) -> str:
        """Everything known about a person as one sentence, without its mark."""
        known = [
            form.format(you=self.you, value=values[kind])
            for kind, form in _FACTS[self._chinese].items()
            if kind in values
        ]
        text = ("，" if self._chinese else "; ").join(known)
        return text[:1].upper() + text[1:]


def plain(text: str) -> str:
    """The letters and digits of a text, for comparing."""
    return "".join(char for char in text.lower() if char.isalnum())
