"""The ear of one line."""

from collections.abc import Callable
from typing import Protocol

from voice.ear.events import EarEvent, TurnDetection


class Hearing(Protocol):
    """Hears one line: audio in, events out.

    Events come by ``on_event``, in order, on the event loop, never from within a call: the
    detector's work is gathered with that of other lines.
    """

    detection: TurnDetection
    """Takes effect with the next frame; within an utterance with the next one."""

    playing: bool
    """Whether our own voice is being heard on this line now."""

    def feed(self, pcm: bytes) -> None:
        """The next audio: PCM16 mono at 16 000 Hz, of any even length."""
        ...

    def note_transcript(self, text: str) -> None:
        """What the utterance under way says so far: for ``semantic_vad``."""
        ...

    def reset(self) -> None:
        """Forget the utterance under way; no ``SpeechStopped`` comes for it. The clock goes on."""
        ...

    def close(self) -> None:
        """No event comes any more."""
        ...


OnEvent = Callable[[EarEvent], None]
