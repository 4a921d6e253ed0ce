"""One utterance of the user's."""

from dataclasses import dataclass, field

from chat.engine.live_events import HearingFailed
from realtime.overlap import Overlap
from voice.ear.echo import is_echo


@dataclass(slots=True, eq=False)
class Utterance:
    """One utterance, from its onset until it is understood.

    Attributes:
        item_id: Its item, which is added when it is committed; empty once it is deleted.
        part: Which part of the item's content it is.
        turn: Where it is heard; empty before.
        start_ms: Its onset, on the clock of the input.
        seconds: Its length, once it is committed.
        text: What is understood so far.
        final: ``text`` is all of it.
        failure: It cannot be recognised.
        wants_answer: It is answered by itself, if it says anything.
        beneath: What our own voice says meanwhile; None where it was silent at the onset.
        peeked: What is understood holds unless more than silence is heard.
    """

    item_id: str
    part: int = 0
    turn: str = ""
    start_ms: int = 0
    seconds: float = 0.0
    text: str = ""
    final: bool = False
    failure: HearingFailed | None = None
    wants_answer: bool = False
    beneath: Overlap | None = None
    peeked: bool = False
    _compared: tuple[tuple[str, str], bool] | None = field(default=None, init=False, repr=False)

    @property
    def is_echo(self) -> bool:
        """Whether it is nothing but our own voice, come back."""
        if self.beneath is None:
            return False
        # It takes some ms, and is asked again and again of the same words.
        words = self.text, self.beneath.text
        if self._compared is None or self._compared[0] != words:
            self._compared = words, is_echo(*words)
        return self._compared[1]
