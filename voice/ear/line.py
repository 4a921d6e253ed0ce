"""The ear of one line: detector, echo guard and endpointing behind one door."""

from voice.ear.detector import Detector, running_detector
from voice.ear.ear import Hearing, OnEvent
from voice.ear.echo_guard import EchoGuard
from voice.ear.endpointing import MAX_UTTERANCE_MS, Endpointing
from voice.ear.events import TurnDetection

__all__ = ["MAX_UTTERANCE_MS", "Ear"]

_SAMPLES_A_MS = 16


class Ear(Hearing):
    """Hears one line; see the protocol. To be made on the event loop that it serves.

    Utterances longer than ``MAX_UTTERANCE_MS`` are cut; speech then goes on in a new one.

    Args:
        detection: How to cut.
        on_event: Takes the events. May call anything of the ear.
        detector: Shared with other lines; the event loop's own by default.
    """

    def __init__(
        self,
        detection: TurnDetection,
        on_event: OnEvent,
        *,
        detector: Detector | None = None,
    ) -> None:
        self.playing = False
        self._on_event = on_event
        self._endpointing = Endpointing(detection)
        self._guard = EchoGuard()
        self._samples = 0
        self._resets = 0
        self._lane = (detector or running_detector()).join(self._on_frame)

    @property
    def detection(self) -> TurnDetection:
        return self._endpointing.detection

    @detection.setter
    def detection(self, detection: TurnDetection) -> None:
        self._endpointing.detection = detection

    @property
    def behind_ms(self) -> int:
        """Audio that was fed and not looked at yet; less than a frame waits for its rest."""
        return self._lane.waiting_bytes // 2 // _SAMPLES_A_MS

    def feed(self, pcm: bytes) -> None:
        self._samples += len(pcm) // 2
        self._lane.feed(pcm)

    def note_transcript(self, text: str) -> None:
        self._endpointing.note_transcript(text)

    def reset(self) -> None:
        self._resets += 1
        self._endpointing.reset(self._samples // _SAMPLES_A_MS)

    def close(self) -> None:
        self._resets += 1
        self._lane.close()

    def _on_frame(self, probability: float, level_db: float) -> None:
        guard, resets = self._guard, self._resets
        guard.step(level_db, probability, playing=self.playing)
        events = self._endpointing.step(probability, guarded=guard.active, near=guard.near)
        for event in events:
            if self._resets == resets:  # else whoever took the one before has reset us
                self._on_event(event)
