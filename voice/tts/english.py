"""English to the phonemes Kokoro was trained on: a lexicon first, rules for the rest.

The lexicons are misaki's data files (Apache-2.0), read as data: its own English code
needs a part-of-speech tagger, of which a few rules about the neighbours give what matters.
"""

import importlib.resources
import json
import re
from functools import lru_cache

from voice.tts.english_text import spell_out
from voice.tts.letter_sounds import VOWELS, sound_out

_TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*'?|[;:,.!?—…\"()“”]|-+|\s+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAX_SPELLED = 5  # capitals that are read letter by letter when no dictionary knows them

# Words before a homograph that make it a verb (re-CORD), or a past form (had read).
_BEFORE_VERB = frozenset(
    [
        "to",
        "i",
        "you",
        "we",
        "they",
        "who",
        "will",
        "would",
        "can",
        "could",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "don't",
        "didn't",
        "won't",
        "let's",
        "please",
        "not",
        "cannot",
        "can't",
        "couldn't",
        "wouldn't",
        "shouldn't",
    ]
)
_BEFORE_PAST = frozenset(
    ["have", "has", "had", "was", "were", "been", "be", "is", "are", "having", "he", "she", "it"]
)


class EnglishPhonemes:
    """Grapheme to phoneme for one accent; holds its lexicon in memory (about 25 MB).

    Args:
        british: Read the British lexicon instead of the American one.
    """

    def __init__(self, *, british: bool = False) -> None:
        accent = "gb" if british else "us"
        data = importlib.resources.files("misaki") / "data"
        self._lexicon: dict[str, str | dict[str, str | None]] = {}
        for quality in ("silver", "gold"):  # the better one wins
            text = (data / f"{accent}_{quality}.json").read_text(encoding="utf-8")
            self._lexicon.update(json.loads(text))
        self._british = british
        self._spoken = lru_cache(maxsize=8192)(self._speak)

    def __call__(self, text: str) -> str:
        """Phonemes of any English text; unknown symbols are left out."""
        tokens = _tokens(spell_out(text))
        said = ""
        for n, token in enumerate(tokens):
            if not token[0].isalpha():
                said += token
                continue
            following = next((t for t in tokens[n + 1 :] if t != " "), "")
            previous = next((t for t in reversed(tokens[:n]) if t != " "), "")
            # Only the words in front depend on what comes after, so this recursion is flat.
            vowel_next = following[:1].isalpha() and _begins_with_vowel(self._spoken(following, ""))
            sounds = self._function_word(token, following, vowel_next=vowel_next)
            said += self._spoken(token, previous.lower()) if sounds is None else sounds
        return re.sub(r" +", " ", said).strip()

    def _function_word(self, word: str, following: str, *, vowel_next: bool) -> str | None:
        """Words whose sound depends on the next one; None for all others."""
        lower = word.lower()
        if lower == "the":
            return "ði" if vowel_next else "ðə"
        if word == "a" or (word == "A" and following[:1].islower()):
            return "ɐ"
        if lower == "an":
            return "ɐn"
        if word == "I":
            return "ˌI"
        if lower == "to" and following[:1].isalpha():
            return "tʊ" if vowel_next else "tə"
        if lower == "used" and following.lower() == "to":
            return "jˈuːst" if self._british else "jˈust"
        return None

    def _speak(self, word: str, previous: str) -> str:
        word = word.strip("'") if self._entry(word) is None else word
        if sounds := self._known(word, previous):
            return sounds
        parts = _CAMEL.split(word)
        if len(parts) > 1:
            return " ".join(self._speak(part, "") for part in parts)
        if word.isupper() and len(word) <= _MAX_SPELLED:
            return self._spelled(word)
        if "'" in word:
            stem, _, tail = word.partition("'")
            if tail.lower() == "s":
                return _with_s(self._speak(stem, previous))
            return self._speak(stem, previous) + self._speak(tail.replace("'", ""), "")
        return self._inflected(word) or self._compound(word) or sound_out(word)

    def _entry(self, word: str) -> str | dict[str, str | None] | None:
        for form in (word, word.lower(), word.capitalize()):
            if (entry := self._lexicon.get(form)) is not None:
                return entry
        return None

    def _known(self, word: str, previous: str = "") -> str | None:
        entry = self._entry(word)
        if entry is None or isinstance(entry, str):
            return entry
        if previous in _BEFORE_PAST:
            for tag in ("VBN", "VBD"):
                if sounds := entry.get(tag):
                    return sounds
        if previous in _BEFORE_VERB and (sounds := entry.get("VERB")):
            return sounds
        return entry.get("DEFAULT")

    def _spelled(self, word: str) -> str:
        """Letter by letter, the last one stressed."""
        names = [(self._known(letter) or "").replace("ˈ", "ˌ") for letter in word.upper()]
        return "".join(names[:-1]) + names[-1].replace("ˌ", "ˈ")

    def _inflected(self, word: str) -> str | None:
        """A known word with a regular ending."""
        word = word.lower()
        if word.endswith("s") and len(word) > 3:
            for stem in (word[:-1], word[:-2], word[:-3] + "y"):
                if word.startswith(stem[:-1]) and (sounds := self._known(stem)):
                    return _with_s(sounds)
        for ending, add in (("ed", _with_ed), ("ing", _with_ing)):
            if word.endswith(ending) and len(word) > len(ending) + 2:
                base = word[: -len(ending)]
                stems = [base, base + "e"]
                stems += [base[:-1]] if base[-1] == base[-2] else []
                stems += [base[:-1] + "y"] if base[-1] == "i" else []
                for stem in stems:
                    if sounds := self._known(stem):
                        return add(sounds)
        for ending, sound in (("ly", "li"), ("ness", "nəs"), ("less", "ləs"), ("ful", "fəl")):
            if word.endswith(ending) and (sounds := self._known(word[: -len(ending)])):
                return sounds + sound
        return None

    def _compound(self, word: str) -> str | None:
        """Two known words written as one, the first of them stressed."""
        word = word.lower()
        for at in range(len(word) - 3, 2, -1):
            first, second = self._known(word[:at]), self._known(word[at:])
            if first and second:
                return first + second.replace("ˈ", "ˌ")
        return None


def _tokens(text: str) -> list[str]:
    tokens = []
    for token in _TOKEN.findall(text):
        if token.strip() in ("", "-"):
            tokens.append(" ")
        else:
            tokens.append("—" if token.startswith("-") else token)
    return tokens


def _begins_with_vowel(sounds: str) -> bool:
    return sounds.lstrip("ˈˌ")[:1] in VOWELS


def _with_s(sounds: str) -> str:
    if not sounds:
        return "z"
    if sounds[-1] in "szʃʒʧʤ":
        return sounds + "ᵻz"
    return sounds + ("s" if sounds[-1] in "ptkfθ" else "z")


def _with_ed(sounds: str) -> str:
    if sounds[-1] in "td":
        return sounds + "ᵻd"
    return sounds + ("t" if sounds[-1] in "pkfθʃsʧ" else "d")


def _with_ing(sounds: str) -> str:
    return sounds + "ɪŋ"
