"""Our own voice, come back through the microphone and taken for somebody's words."""

import re

from voice.ear.alignment import aligned
from voice.ear.syllables import sounds
from voice.ear.wording import is_han, plain, spelled, table, words

# An echo is at least so long: people repeat a few words that they hear.
_MIN_SYLLABLES, _MIN_WORDS = 5, 4
# So much of it may have been heard otherwise; more where it is so long that it is no chance.
_MISHEARD, _MISHEARD_OF_MUCH = 0.15, 0.3
_MUCH_SYLLABLES, _MUCH_WORDS = 12, 9
# What is misheard is scattered: so many strange words in a row are somebody else's.
_STRANGE_IN_A_ROW = 2
_MOST_HEARD, _MOST_SPOKEN = 300, 600

# Words that mean somebody speaks to us, where we did not say them: questions, denials, a
# person, a command.
_CHINESE = re.compile(
    "[吗呢么嘛谁哪啥几][儿里个些位]?|为什么|什么|怎么样?|怎样|为何|如何|多少|何时|有没有|会不会|是不是|"
    "是否|能否|难道|[不没别]|[你您我咱]们?|停|等等|等一下|等下|且慢|打住|闭嘴"
)
_ENGLISH = table(
    """
    what|what's|why|who|who's|whose|whom|how|how's|when|where|where's|which|
    no|not|never|nope|don't|doesn't|didn't|isn't|aren't|wasn't|weren't|can't|cannot|couldn't|
    won't|wouldn't|shouldn't|haven't|hasn't|
    i|i'm|i've|i'd|i'll|me|my|mine|you|you're|you've|you'd|you'll|your|yours|
    wait|stop|please|sorry|but
    """
)
# Asks where a clause begins with it; elsewhere it is as often misheard as said.
_ASKING = table(
    """
    is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may|might|must|
    have|has|had|isn't|aren't|wasn't|weren't|don't|doesn't|didn't|can't|won't
    """
)
_CLAUSE = re.compile(r"(?<=[,;:?!.。、…\n])")
_SENTENCE = re.compile(r"(?<=[?!.。…\n])")
_ASKED = re.compile(r"\?\W*$")


def is_echo(heard: str, spoken: str) -> bool:
    """Whether what a microphone heard is what our own voice is just saying.

    That is a stretch of it, in order and without gaps. Words that sound alike count as the
    same, and a few may be misheard or lost; what makes a question, a denial or an address of
    it may not, if only the question mark, and nor may what somebody says on top of the echo.
    A few words are never taken for an echo: people repeat what they hear.

    Args:
        heard: The transcript.
        spoken: What was being spoken, from somewhat before to somewhat after.
    """
    said = words(spelled(heard))
    echo, ours = sounds(heard), sounds(spoken)[-_MOST_SPOKEN:]
    chinese = any(map(is_han, said))
    if not (_MIN_SYLLABLES if chinese else _MIN_WORDS) <= len(echo) <= _MOST_HEARD:
        return False
    much = len(echo) >= (_MUCH_SYLLABLES if chinese else _MUCH_WORDS)
    misheard = int((_MISHEARD_OF_MUCH if much else _MISHEARD) * len(echo))
    known = set(ours)
    if sum(sound not in known for sound in echo) > misheard:
        return False
    found = aligned(echo, ours)
    if found.edits > misheard or _longest_run(found.strange) > _STRANGE_IN_A_ROW:
        return False
    if any(found.strange[at] for at in _telling(heard, said)):
        return False
    return much or not _asks(heard) or _is_asked(spoken, len(ours), found.ends)


def _longest_run(strange: list[bool]) -> int:
    longest = run = 0
    for each in strange:
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


def _telling(heard: str, said: list[str]) -> set[int]:
    """Which of the words heard make it a question, a denial or an address."""
    # One character a word, so that places in the text are places among the words.
    written = "".join(word if is_han(word) else " " for word in said)
    telling = {at for match in _CHINESE.finditer(written) for at in range(*match.span())}
    telling |= {at for at, word in enumerate(said) if word in _ENGLISH}
    begins = 0
    for clause in _CLAUSE.split(spelled(heard)):
        inside = words(clause)
        if inside and inside[0] in _ASKING:
            telling |= {begins, begins + 1}
        begins += len(inside)
    return {at for at in telling if at < len(said)}


def _asks(text: str) -> bool:
    return _ASKED.search(plain(text)) is not None


def _is_asked(spoken: str, length: int, ends: int) -> bool:
    """Whether the sentence is a question in which a stretch ends.

    Args:
        spoken: All that was spoken.
        length: Of its words the last so many count.
        ends: The number of the first word behind the stretch, of those that count.
    """
    asked: list[bool] = []
    for sentence in _SENTENCE.split(spelled(spoken)):
        asked += [_asks(sentence)] * len(words(sentence))
    return any(asked[-length:][max(0, ends - 1) : ends])
