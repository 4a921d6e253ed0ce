"""What a turn tells while it runs, and how it can end badly."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["audio", "asr", "llm", "tts", "turn"]


@dataclass(frozen=True, slots=True)
class TranscriptReady:
    """What the recogniser understood of a spoken message."""

    text: str


@dataclass(frozen=True, slots=True)
class TextReady:
    """The next piece of the reply's text, as the model wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioReady:
    """The next piece of the reply's one MP3 stream."""

    data: bytes


Event = TranscriptReady | TextReady | AudioReady


class TurnFailed(Exception):
    """A stage failed and nothing can take its place.

    Args:
        stage: Where it happened.
        reason: A word for the cause: a ``voice.errors.Reason`` or one of the stage's own
            (``silent``, ``not_found``, ``not_audio``, ``too_long`` …).
        detail: For the log; never shown to a client.
    """

    def __init__(self, stage: Stage, reason: str, detail: str = "") -> None:
        super().__init__(f"{stage}: {reason}: {detail}")
        self.stage: Stage = stage
        self.reason = reason
        self.detail = detail
