"""Where utterances begin and end, from one probability of speech a frame. Pure, no clock."""

from collections import deque
from dataclasses import dataclass

from voice.ear.completeness import Completeness, completeness
from voice.ear.events import (
    Eagerness,
    EarEvent,
    Paused,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    TurnDetection,
)
from voice.ear.silero import FRAME_MS

MAX_UTTERANCE_MS = 60_000
_PAUSE_MS = 96
# (frames that must be voiced, of so many): to begin, to go on, to begin while we speak.
_TO_BEGIN, _TO_INTERRUPT = (2, 2), (5, 7)
_TO_RESUME = 2
_GUARD, _GUARD_MOST = 0.2, 0.95
# Speech is believed more readily next to speech.
_HYSTERESIS, _LEAST = 0.15, 0.01

# semantic_vad: silence in ms that ends an utterance, by what its transcript looks like.
_PATIENCE: dict[Completeness, dict[Eagerness, int]] = {
    "complete": {"low": 500, "medium": 350, "high": 300, "auto": 300},
    "unknown": {"low": 900, "medium": 600, "high": 350, "auto": 600},
    "open": {"low": 8_000, "medium": 4_000, "high": 2_000, "auto": 4_000},
}


@dataclass(slots=True)
class _Utterance:
    detection: TurnDetection
    start_ms: int
    voiced_until_ms: int
    paused: bool = False
    resuming: int = 0  # voiced frames in a row within the pause
    transcript: Completeness = "unknown"

    @property
    def patience_ms(self) -> int:
        if self.detection.kind == "server_vad":
            return self.detection.silence_ms
        return _PATIENCE[self.transcript][self.detection.eagerness]


class Endpointing:
    """Cuts one line into utterances.

    To each ``SpeechStarted`` comes exactly one ``SpeechStopped``, unless ``reset`` comes
    first. Before a ``SpeechStopped`` that is no cut comes a ``Paused`` without ``Resumed``.
    Utterances do not overlap.

    Attributes:
        detection: May be changed at any time; an utterance ends as it began.
    """

    def __init__(self, detection: TurnDetection) -> None:
        self.detection = detection
        self._now_ms = 0
        self._floor_ms = 0  # audio before this belongs to what has ended
        self._recent: deque[tuple[bool, bool]] = deque(maxlen=_TO_INTERRUPT[1])
        self._utterance: _Utterance | None = None

    def step(
        self, probability: float, *, guarded: bool = False, near: bool = True
    ) -> list[EarEvent]:
        """The next frame of 32 ms.

        Args:
            probability: That it is speech.
            guarded: Our own voice may be in it: only what lasts and is clear counts.
            near: It is loud enough to be no echo. Looked at only where guarded.
        """
        self._now_ms += FRAME_MS
        if self._now_ms <= self._floor_ms:
            return []
        if self._utterance is not None:
            clear, likely = _thresholds(self._utterance.detection, guarded)
            heard = probability if near or not guarded else -1.0
            return self._go_on(self._utterance, heard >= clear, heard >= likely)
        clear, likely = _thresholds(self.detection, guarded)
        self._recent.append((probability >= clear, probability >= likely))
        return self._begin(guarded) if near or not guarded else []

    def note_transcript(self, text: str) -> None:
        """What the utterance under way says so far."""
        if self._utterance is not None:
            self._utterance.transcript = completeness(text)

    def reset(self, now_ms: int) -> None:
        """Forget the utterance under way, and all audio before ``now_ms``."""
        self._utterance = None
        self._recent.clear()
        self._floor_ms = max(self._floor_ms, now_ms)

    def _begin(self, guarded: bool) -> list[EarEvent]:
        needed, of = _TO_INTERRUPT if guarded else _TO_BEGIN
        window = list(self._recent)[-of:]
        likely = [i for i, (_, lower) in enumerate(window) if lower]
        if not window[-1][0] or len(likely) < needed:
            return []
        onset_ms = self._now_ms - (len(window) - likely[0]) * FRAME_MS
        start_ms = max(onset_ms - self.detection.prefix_ms, self._floor_ms)
        self._utterance = _Utterance(self.detection, start_ms, self._now_ms)
        self._recent.clear()
        return [SpeechStarted(start_ms)]

    def _go_on(self, utterance: _Utterance, clear: bool, likely: bool) -> list[EarEvent]:
        events: list[EarEvent] = []
        if not utterance.paused:
            if likely:
                utterance.voiced_until_ms = self._now_ms
        elif likely and (clear or utterance.resuming):
            utterance.resuming += 1
            if utterance.resuming == _TO_RESUME:
                utterance.paused, utterance.resuming = False, 0
                utterance.voiced_until_ms = self._now_ms
                utterance.transcript = "unknown"  # what was said goes on
                events.append(Resumed())
        else:
            utterance.resuming = 0
        silence_ms = self._now_ms - utterance.voiced_until_ms
        # To the nearest frame: the voice is noticed to have ended two frames late as it is.
        patience_ms = utterance.patience_ms - FRAME_MS // 2
        if silence_ms and not utterance.paused and silence_ms >= min(_PAUSE_MS, patience_ms):
            utterance.paused = True
            events.append(Paused(utterance.voiced_until_ms))
        if utterance.paused and not utterance.resuming and silence_ms >= patience_ms:
            events.append(self._end(utterance))
        elif self._now_ms - utterance.start_ms >= MAX_UTTERANCE_MS:
            events.append(self._end(utterance, cut=True))
        return events

    def _end(self, utterance: _Utterance, *, cut: bool = False) -> SpeechStopped:
        self._utterance, self._floor_ms = None, self._now_ms
        return SpeechStopped(self._now_ms, utterance.voiced_until_ms, cut)


def _thresholds(detection: TurnDetection, guarded: bool) -> tuple[float, float]:
    """From which probability on a frame is clear, and next to a clear one likely, speech."""
    threshold = detection.threshold
    if guarded:
        return max(threshold, min(threshold + _GUARD, _GUARD_MOST)), threshold
    return threshold, max(threshold - _HYSTERESIS, min(threshold, _LEAST))
