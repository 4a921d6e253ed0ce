"""How an English word that no dictionary knows is most likely spoken.

Letter-to-sound rules, longest match first, then a guess of the stressed syllable. Good for
invented names, not a dictionary. The symbols are those of Kokoro's American English.
"""

import re

VOWELS = frozenset("AIOWYQaiuæɑɒɔəɛɜɪʊʌᵻ")

# (letters, sound, pattern before, pattern after); the first rule that fits is taken.
# "C" in a pattern is a consonant letter, "V" a vowel letter, "$" the end of the word.
_RULES: tuple[tuple[str, str, str, str], ...] = (
    *(("tion", "ʃən", "", ""), ("sion", "ʒən", "V$", ""), ("sion", "ʃən", "", "")),
    *(("cious", "ʃəs", "", ""), ("tious", "ʃəs", "", ""), ("ous", "əs", "", "$")),
    *(("ture", "ʧəɹ", "", "$"), ("sure", "ʒəɹ", "V$", "$"), ("ough", "O", "", "")),
    *(("eigh", "A", "", ""), ("igh", "I", "", ""), ("augh", "ɔ", "", ""), ("gh", "ɡ", "^", "")),
    *(("gh", "", "", ""), ("tch", "ʧ", "", ""), ("sch", "ʃ", "", ""), ("ch", "k", "", "C")),
    *(("ch", "ʧ", "", ""), ("sh", "ʃ", "", ""), ("th", "θ", "", ""), ("ph", "f", "", "")),
    *(("wh", "w", "", ""), ("wr", "ɹ", "^", ""), ("kn", "n", "^", ""), ("gn", "n", "^", "")),
    *(("ps", "s", "^", ""), ("mb", "m", "", "$"), ("ck", "k", "", ""), ("dge", "ʤ", "", "$")),
    *(("dg", "ʤ", "", "[ei]"), ("sc", "s", "", "[eiy]"), ("qu", "kw", "", "V"), ("q", "k", "", "")),
    *(("x", "z", "^", ""), ("x", "ks", "", ""), ("cc", "ks", "", "[ei]"), ("c", "s", "", "[eiy]")),
    *(("c", "k", "", ""), ("ng", "ŋ", "", "$"), ("ng", "ŋɡ", "", ""), ("nk", "ŋk", "", "")),
    *(("gu", "ɡ", "", "[ei]"), ("ge", "ʤ", "V$", "$"), ("g", "ʤ", "", "[iy]"), ("g", "ɡ", "", "")),
    *(
        ("ssion", "ʃən", "", ""),
        ("s", "z", "V$", "V"),
        ("tz", "ts", "", ""),
        ("zz", "ts", "V$", ""),
    ),
    *(("air", "ɛɹ", "", ""), ("ear", "ɪɹ", "", ""), ("eer", "ɪɹ", "", ""), ("our", "ɔɹ", "", "")),
    *(
        ("oor", "ɔɹ", "", ""),
        ("are", "ɛɹ", "", "$"),
        ("ere", "ɪɹ", "", "$"),
        ("ire", "Iəɹ", "", "$"),
    ),
    *(("ore", "ɔɹ", "", "$"), ("ure", "jʊɹ", "", "$"), ("ar", "ɑɹ", "", "(C|$)")),
    *(("er", "əɹ", "", "(C|$)"), ("ir", "ɜɹ", "", "(C|$)"), ("or", "əɹ", "V.*C$", "$")),
    *(("or", "ɔɹ", "", ""), ("ur", "ɜɹ", "", "(C|$)"), ("yr", "ɪɹ", "", "")),
    *(("aa", "ɑ", "", ""), ("ae", "A", "", ""), ("ai", "A", "", ""), ("ay", "A", "", "")),
    *(("au", "ɔ", "", ""), ("aw", "ɔ", "", ""), ("ea", "i", "", ""), ("ee", "i", "", "")),
    *(("ei", "A", "", ""), ("eu", "ju", "", ""), ("ew", "u", "", ""), ("ey", "i", "", "$")),
    *(("ey", "A", "", ""), ("ie", "i", "", ""), ("io", "iO", "", ""), ("ia", "iə", "", "")),
    *(("oa", "O", "", ""), ("oi", "Y", "", ""), ("oo", "u", "", ""), ("ou", "W", "", "")),
    *(("ow", "O", "", "$"), ("ow", "W", "", ""), ("oy", "Y", "", ""), ("ue", "u", "", "$")),
    *(("ui", "u", "", ""), ("uy", "I", "", "$")),
    # a vowel, one consonant and a mute e: the vowel says its name
    *(("a", "A", "", "C(e|es|ed)$"), ("i", "I", "", "C(e|es|ed)$"), ("y", "I", "", "C(e|es)$")),
    *(("o", "O", "", "C(e|es|ed)$"), ("u", "u", "[rlj]$", "C(e|es|ed)$")),
    *(("u", "ju", "", "C(e|es|ed)$"), ("e", "i", "", "Ce$")),
    *(("le", "ᵊl", "C$", "$"), ("les", "ᵊlz", "C$", "$"), ("ed", "ᵻd", "[td]$", "$")),
    *(("ed", "t", "V.*[pkfsxh]$", "$"), ("ed", "d", "V.*C$", "$"), ("es", "ᵻz", "[szxh]$", "$")),
    *(
        ("es", "iz", "V.*[tlmrd]$", "$"),
        ("es", "z", "V.*C$", "$"),
        ("e", "", "V.*C$", "$"),
        ("e", "i", "C$", "$"),
    ),
    *(("a", "ə", "V.*C$", "$"), ("a", "ə", "^", "[lr]V"), ("a", "ɑ", "", "$"), ("a", "æ", "", "")),
    *(("e", "ɛ", "", ""), ("i", "i", "", "$"), ("i", "ɪ", "", ""), ("o", "O", "", "$")),
    *(("o", "O", "", "CV"), ("o", "ɑ", "", ""), ("u", "u", "", "(CV|$)"), ("u", "ʌ", "", "")),
    *(("y", "j", "^", ""), ("y", "j", "", "V"), ("y", "I", "^C+$", "$"), ("y", "i", "", "$")),
    *(("y", "ɪ", "", ""), ("j", "ʤ", "", ""), ("r", "ɹ", "", ""), ("h", "", "V$", "(C|$)")),
)


def _compiled(pattern: str, *, before: bool) -> re.Pattern[str]:
    pattern = pattern.replace("C", "[b-df-hj-np-tv-z]").replace("V", "[aeiouy]")
    if before and not pattern.endswith("$") and pattern != "^":
        pattern += "$" if pattern else ""
    return re.compile(f"^{pattern}$" if before and pattern == "^" else pattern)


_COMPILED = tuple(
    (letters, sound, _compiled(before, before=True), _compiled(after, before=False))
    for letters, sound, before, after in _RULES
)

# Endings that pull the stress onto the syllable before them.
_PULLING = re.compile(r"(tion|sion|ic|ity|ian|ial|ious|eous)s?$")


def sound_out(word: str) -> str:
    """Phonemes with a stress mark for a word of the letters a to z."""
    word = word.lower()
    spoken: list[str] = []
    at = 0
    while at < len(word):
        letters, sound = _rule(word, at)
        # A doubled consonant is one sound.
        if not (sound and spoken and spoken[-1] == sound and sound not in VOWELS):
            spoken.append(sound)
        at += len(letters)
    return _stressed("".join(spoken), word)


def _rule(word: str, at: int) -> tuple[str, str]:
    for letters, sound, before, after in _COMPILED:
        if (
            word.startswith(letters, at)
            and before.search(word[:at])
            and after.match(word, at + len(letters))
        ):
            return letters, sound
    return word[at], word[at] if word[at] in "bdfklmnpstvwz" else ""


def _stressed(sounds: str, word: str) -> str:
    places = [i for i, sound in enumerate(sounds) if sound in VOWELS]
    if not places:
        return sounds
    if _PULLING.search(word) and len(places) > 1:
        chosen = places[-2]
    else:
        full = [i for i in places if sounds[i] not in "əᵻ"] or places
        chosen = full[-2] if len(full) > 3 else full[0]
    return f"{sounds[:chosen]}ˈ{sounds[chosen:]}"
