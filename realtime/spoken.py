"""What was said aloud of a reply, and when."""

from dataclasses import dataclass, field

_FAR = 200  # characters: of directions that are written and not spoken
# What is told of times, by clients and by our clock, is in whole ms: the rest is no cut.
_ROUNDED_MS = 1


@dataclass(slots=True)
class Sentence:
    """One spoken sentence; ms from the beginning of the reply's audio."""

    text: str
    begins_ms: float
    ends_ms: float


@dataclass(slots=True)
class Spoken:
    """A reply as text and as sound.

    Attributes:
        written: All that the model wrote, directions included.
        sentences: What is spoken of it, in order, without gaps.
        cut_ms: Where it was cut; None where it was not.
    """

    written: str = ""
    sentences: list[Sentence] = field(default_factory=list)
    cut_ms: float | None = None

    def write(self, text: str) -> None:
        """The model wrote more."""
        self.written += text

    def begin(self, text: str) -> None:
        """The audio that follows speaks ``text``."""
        self.sentences.append(Sentence(text, self.total_ms, self.total_ms))

    def sound(self, ms: float) -> None:
        """More audio has come of the last sentence."""
        if not self.sentences:
            self.begin("")
        self.sentences[-1].ends_ms += ms

    def cut(self, at_ms: float) -> None:
        """Only what ended before was heard. Counts from the whole: a later cut may keep more."""
        self.cut_ms = max(0.0, at_ms)

    @property
    def total_ms(self) -> float:
        """Of all its audio."""
        return self.sentences[-1].ends_ms if self.sentences else 0.0

    @property
    def full_text(self) -> str:
        """All that is spoken, heard or not: the whole transcript."""
        return "".join(sentence.text for sentence in self.sentences)

    def text_around(self, begins_ms: float, ends_ms: float) -> str:
        """The transcript of what is heard from then to then, and of the sentence before."""
        after = [each.ends_ms > begins_ms for each in self.sentences]
        first = after.index(True) if any(after) else len(after)
        around = self.sentences[max(0, first - 1) :]
        return "".join(each.text for each in around if each.begins_ms <= max(begins_ms, ends_ms))

    @property
    def heard_text(self) -> str:
        """The transcript of what was heard: whole sentences."""
        return "".join(sentence.text for sentence in self._heard)

    @property
    def prompt_text(self) -> str:
        """What the model is told that it has said."""
        return self.written if self.cut_ms is None else self.heard_text.rstrip()

    @property
    def unheard_text(self) -> str:
        """The rest of what the model wrote, from the sentence on that was cut; may be empty.

        As it was written: what stands between the sentences is not lost.
        """
        if self.cut_ms is None:
            return ""
        position = 0
        for sentence in self._heard:
            position = _end_of(sentence.text.strip(), self.written, position)
        return self.written[position:]

    @property
    def _heard(self) -> list[Sentence]:
        if self.cut_ms is None:
            return self.sentences
        return [each for each in self.sentences if each.ends_ms < self.cut_ms + _ROUNDED_MS]


def _end_of(spoken: str, written: str, begin: int) -> int:
    """Where in ``written``, from ``begin`` on, a sentence ends as it was spoken.

    What is written has marks between the letters that are not spoken. Where signs and numbers
    are spoken in other words, the last letters are looked for, and at last the length must do.
    """
    if not spoken:
        return begin
    if (found := written.find(spoken, begin)) >= 0:
        return found + len(spoken)
    most = begin + 2 * len(spoken) + _FAR
    if (end := _end_among_marks(spoken, written, begin, most)) >= 0:
        return end
    for length in (8, 4, 2, 1):
        ending = spoken[-length:]
        if (found := written.find(ending, begin + len(spoken) // 2, most)) >= 0:
            return found + len(ending)
    return min(len(written), begin + len(spoken))


def _end_among_marks(spoken: str, written: str, begin: int, most: int) -> int:
    """Where the last of all its letters stands, each found behind the other; -1 if not."""
    for letter in spoken:
        if letter.isspace():
            continue
        begin = written.find(letter, begin, most) + 1
        if not begin:
            return -1
    return begin
