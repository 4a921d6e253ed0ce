"""Gives a statement back from the other side: "I miss home" becomes "you miss home"."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from chat.llm.persona_voice import is_chinese

Kind = Literal["plan", "past", "now", "world"]

_CLAUSE = re.compile(r"[，。！？；、,.!?;\n]+")
_LEAD = re.compile(
    r"^(?:其实|可是|但是|但|不过|因为|所以|而且|然后|今天|昨天|就是|我觉得|我想说|那个|唉|哎"
    r"|嗯|啊)+"
)
_TAIL = re.compile(r"[吧啊呢呀哦嘛啦喔哈~～…]+$")
_PLAN = re.compile(
    r"想|打算|准备|要去|决定|希望|\b(?:want|plan|hope|going to|would like|need)\b", re.IGNORECASE
)
_PAST = re.compile(r"了|过|刚|昨天|以前|小时候|去年|上周|\b(?:was|were|had|did|went|saw|met"
    r"|lost|found|made"
    r"|said|got|\w{2,}ed)\b", re.IGNORECASE)  # fmt: skip
_ENGLISH_LEAD = re.compile(
    r"^(?:well|so|and|but|because|actually|you know|today|yesterday|oh|hm+|i think(?: that)?"
    r"|i believe(?: that)?|i guess)[, ]+",
    re.IGNORECASE,
)
_SWAPS: Final = {
    "i": "you", "i'm": "you're", "i've": "you've", "i'll": "you'll", "i'd": "you'd", "me": "you",
    "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "you": "I", "your": "my",
    "yours": "mine", "yourself": "myself", "was": "was", "you're": "I'm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reflection:
    """A statement as the listener would give it back.

    Attributes:
        kind: ``plan``, ``past`` and ``now`` are about the speaker, ``world`` is not.
        text: Without a closing mark; English begins in lower case.
    """

    kind: Kind
    text: str


def reflect(message: str, *, you: str, me: str) -> Reflection | None:
    """Turn a statement round; None where it is too short or too long for that.

    Args:
        message: What was said.
        you: How the listener addresses the speaker.
        me: How the listener speaks of itself.
    """
    clauses = [clause.strip() for clause in _CLAUSE.split(message) if clause.strip()]
    if is_chinese(message):
        return _chinese(clauses, you, me)
    return _english(message)


def _chinese(clauses: list[str], you: str, me: str) -> Reflection | None:
    clean = [_TAIL.sub("", _LEAD.sub("", clause)) for clause in clauses]
    own = [clause for clause in clean if "我" in clause and 4 <= len(clause) <= 20]
    if own:
        clause = own[0]
        marks = {"我": you, "你": me, "您": me}
        text = "".join(marks.get(char, char) for char in clause.replace("我们", "\0"))
        return Reflection(
            _kind(clause), text.replace("\0", f"{you}们" if len(you) == 1 else "我们")
        )
    world = [clause for clause in clean if 3 <= len(clause) <= 20 and "你" not in clause]
    return Reflection("world", world[0]) if world else None


def _english(message: str) -> Reflection | None:
    sentence = re.split(r"[.!?;\n]+", message.strip())[0].strip()
    sentence = _ENGLISH_LEAD.sub("", sentence)
    words = sentence.split()
    if not 3 <= len(words) <= 16:
        return None
    about_speaker = bool(re.match(r"(?:i|i'm|i've|i'd|i'll|my|we)\b", sentence, re.IGNORECASE))
    about_speaker = about_speaker or bool(re.search(r"\b(?:my|me)\b", sentence, re.IGNORECASE))
    if not about_speaker:
        return Reflection(
            "world", sentence[0].lower() + sentence[1:] if words[0].istitle() else sentence
        )
    swapped = [_swap(word) for word in words]
    text = re.sub(r"\byou was\b", "you were", " ".join(swapped))
    return Reflection(_kind(sentence), text[0].lower() + text[1:])


def _swap(word: str) -> str:
    core = word.strip(",:").lower()
    return word.replace(word.strip(",:"), _SWAPS[core]) if core in _SWAPS else word


def _kind(clause: str) -> Kind:
    if _PLAN.search(clause):
        return "plan"
    return "past" if _PAST.search(clause) else "now"
