"""What the ear tells, and how it is set. No Django.

Times are ms on the line's own clock: of all audio that was ever fed to it.
"""

from dataclasses import dataclass
from typing import Literal

Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the ear cuts speech into utterances. Names and defaults are OpenAI's.

    Attributes:
        kind: ``server_vad`` ends an utterance after ``silence_ms``; ``semantic_vad`` after
            less where the transcript is complete, more where it trails off.
        threshold: Probability of speech, 0 to 1, from which on a frame counts as voiced.
        prefix_ms: Audio that is kept from before the onset.
        silence_ms: Silence that ends an utterance (``server_vad``).
        eagerness: How soon a pause is taken for the end (``semantic_vad``).
    """

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    eagerness: Eagerness = "auto"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks.

    While our own voice is heard (``Ear.playing``) only speech that lasts counts, and it has
    to be clearer: the loudspeaker's echo and a cough are no interruption.

    Attributes:
        start_ms: The onset less the prefix; never before the end of the last utterance.
    """

    start_ms: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Within the utterance it has become quiet; told once a pause, at the first chance.

    The time to look at a transcript, or to begin with what can be taken back.
    """

    at_ms: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech goes on after ``Paused``: what was begun there is void."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance has ended.

    Attributes:
        end_ms: Where its audio ends, the trailing silence included.
        paused_ms: Where its last word ended.
        cut: It was ended for its length alone: speech goes on.
    """

    end_ms: int
    paused_ms: int
    cut: bool = False


EarEvent = SpeechStarted | Paused | Resumed | SpeechStopped
