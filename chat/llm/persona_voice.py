"""How a character speaks, read from its card: address, register, gestures, first person."""

import re
from functools import lru_cache
from typing import Final

from chat.llm.base import Persona

_ADDRESS_TOLD = re.compile(
    r"[称叫唤][^，。“「]{0,12}[“「](?P<zh>[^”」]{1,4})[”」]"
    r"|(?:calls?|addresses) [^.\"“]{0,30}[\"“](?P<en>[^\"”]{2,20})[\"”]"
)
_ADDRESSES: Final = (
    "足下", "客官", "阁下", "施主", "少侠", "公子", "姑娘", "小友", "娃儿", "主人", "道友", "您",
)  # fmt: skip
_SELVES: Final = ("本座", "在下", "本宫", "老朽", "老夫", "贫道", "贫僧", "老孙", "俺", "吾", "朕")
_CLASSICAL = re.compile(
    "足下|在下|阁下|老夫|老朽|贫道|何妨|乎|矣|吾|朕|本宫|公子|且慢|此言|罢了|先帝|不必多礼"
)
_CATCHPHRASES = re.compile(
    r"(?:口头禅|catchphrases?|常说|often says)[^“「\"。.]{0,6}"
    r"((?:[“「\"][^”」\"]+[”」\"][、和,\s]*)+)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[“「\"]([^”」\"]+)[”」\"]")
_GESTURE = re.compile(r"（([^（）。！？]{1,10})）|\*([^*.!?]{3,40})\*")
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+[”」]?|(?<![A-Z])\.(?=\s|$)|\n|$)")
_PRIVATE = re.compile(
    r"不肯说|秘密|不报|不许|执意|不占卜|secret|never (?:tells|admits|reveals)", re.IGNORECASE
)
_SHE = re.compile(r"\b(?:she|her)\b", re.IGNORECASE)
_HE = re.compile(r"\b(?:he|his|him)\b", re.IGNORECASE)
_NARRATIVE = re.compile(
    r"早年|当年|曾|那年|后来|年轻时|小时候|\b(?:once|until|when|years ago"
    r"|used to)\b",
    re.IGNORECASE,
)
_KEPT_WORDS = re.compile("其他|他人|他们|她们|吉他|他日|他乡")
_ADVERB: Final = r"((?:never|always|often|still|only|also|\w+ly)\s+)?"
_IRREGULAR: Final = {"is": "am", "has": "have", "does": "do", "goes": "go", "isn't": "am not",
                     "doesn't": "don't", "hasn't": "haven't", "was": "was"}  # fmt: skip


def sentences(text: str) -> list[str]:
    """The sentences of a text, with their marks."""
    return [match for match in map(str.strip, _SENTENCE.findall(text)) if match]


def is_chinese(text: str) -> bool:
    """Whether a text is written in Chinese."""
    return any("\u4e00" <= char <= "\u9fff" for char in text)


class Voice:
    """A character's manner of speaking.

    Attributes:
        you: How it addresses a person.
        me: How it speaks of itself.
        classical: It speaks in the manner of old books.
        gestures: Short stage directions of its own, with their marks.
        catchphrases: What it is said to say often.
        about: Sentences about it, in the first person.
        volunteered: Those of them it may tell unasked.
        past: Those of them that tell of what was.
    """

    def __init__(self, persona: Persona) -> None:
        own_words = "\n".join((persona.greeting, *(answer for _, answer in persona.examples)))
        prose = "\n".join((persona.description, persona.personality, persona.scenario))
        self._persona = persona
        self._pronoun = "她" if prose.count("她") > prose.count("他") else "他"
        self._female = len(_SHE.findall(prose)) > len(_HE.findall(prose))
        told = _ADDRESS_TOLD.search(prose)
        heard = [word for word in _ADDRESSES if word in own_words]
        self.you = (told and told["zh"]) or (heard[0] if heard else "你")
        counts = {word: own_words.count(word) for word in _SELVES}
        best = max(_SELVES, key=lambda word: counts[word])
        self.me = best if counts[best] > 1 else "我"
        self.classical = len(_CLASSICAL.findall(own_words)) >= 3
        self.gestures = tuple(
            dict.fromkeys(
                m[0]
                for m in _GESTURE.finditer(own_words)
                if not persona.user_name or persona.user_name not in m[0]
            )
        )
        found = _CATCHPHRASES.search(prose)
        self.catchphrases = tuple(_QUOTED.findall(found[1])) if found else ()
        spoken = [
            (line, self.first_person(line))
            for line in sentences(prose)
            if 6 <= len(line) <= 160 and not _PRIVATE.search(line)
        ]
        self.about = tuple(said for _, said in spoken)
        self.volunteered = tuple(
            said
            for line, said in spoken
            if said != line
            and (not persona.user_name or persona.user_name not in line)
            and len(said) <= (60 if is_chinese(said) else 160)
        )
        self.past = tuple(said for said in self.about if _NARRATIVE.search(said))

    def first_person(self, text: str) -> str:
        """A sentence about the character as the character says it.

        Pronouns are changed only in texts that name the character, or in its own card.
        """
        name, user = self._persona.name, self._persona.user_name
        text = text.replace("{{char}}", name).replace("{{user}}", user)
        if is_chinese(text):
            kept = {match.start() for match in _KEPT_WORDS.finditer(text)}
            said = "".join(
                self.me if char == self._pronoun and i not in kept and i - 1 not in kept else char
                for i, char in enumerate(text)
            )
            for part in dict.fromkeys((name, name.split("·")[0])):
                said = said.replace(part, self.me) if part else said
            if user:
                said = said.replace(user, self.you)
            return re.sub(f"^{self.me}，", "", said)
        return _english_first_person(text, name, female=self._female)


def _english_first_person(text: str, name: str, *, female: bool) -> str:
    own, possessive, objective = ("she", "her", "her") if female else ("he", "his", "him")
    parts = sorted({name, *name.split()}, key=len, reverse=True)
    names = "|".join(re.escape(part) for part in parts if len(part) > 2)
    subject = rf"(?:{names}|{own})" if names else own

    def turn(match: re.Match[str]) -> str:
        return f"I {match[1] or ''}{_first_person_verb(match[2])}"

    text = re.sub(rf"\b{subject}\s+{_ADVERB}([a-z']+)\b", turn, text, flags=re.IGNORECASE)
    if names:
        text = re.sub(rf"\b(?:{names})'s\b", "my", text)
        text = re.sub(rf"\b(of|to|with|for|by|about|from|and) (?:{names})\b", r"\1 me", text)
    text = re.sub(rf"\b{possessive}\b(?=\s+[a-z])", "my", text)
    text = re.sub(rf"\b{possessive.title()}\b(?=\s+[a-z])", "My", text)
    text = re.sub(rf"\b{objective}\b", "me", text)
    text = re.sub(rf"\b{objective if female else 'him'}self\b", "myself", text)
    return text.replace("of me's", "of mine")


def _first_person_verb(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if re.search(r"(?:ch|sh|ss|x|zz)es$", verb):
        return verb[:-2]
    if verb.endswith("s") and not verb.endswith(("ss", "us", "is", "'s")):
        return verb[:-1]
    return verb


@lru_cache(maxsize=256)
def voice_of(persona: Persona) -> Voice:
    """The voice of a character; reading a card costs milliseconds, so it is kept."""
    return Voice(persona)
