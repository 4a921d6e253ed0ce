"""Our own voice while the user speaks."""

from collections.abc import Callable
from dataclasses import dataclass

from realtime.spoken import Spoken

# Speech begins before it is noticed, and what was sent is heard somewhat later than by our clock.
_EARLIER_MS = 1_000


@dataclass(frozen=True, slots=True)
class Overlap:
    """A reply that is being heard when an utterance begins.

    Attributes:
        spoken: The reply.
        noticed_ms: How much of it was heard when the utterance was noticed.
        heard_ms: Gives how much of it is heard by now.
    """

    spoken: Spoken
    noticed_ms: float
    heard_ms: Callable[[], float]

    @property
    def text(self) -> str:
        """What is said of it meanwhile, and the sentence before."""
        return self.spoken.text_around(self.noticed_ms - _EARLIER_MS, self.heard_ms())
