"""Tells the person who speaks from the loudspeaker that speaks."""

from collections import deque

_WINDOW = 6  # frames of 32 ms
# What plays has ended for us a little before the room and the sound card are done with it.
_TAIL = 10
# The person is as loud as they were while nothing played; what the loudspeaker leaves of us
# after echo cancellation, or by mere distance, is less loud by more than this.
_MARGIN_DB = 8.0
# A microphone with gain control; so much is it trusted, in frames of speech.
_EXPECTED_DB, _TRUST = -22.0, 6
_LONGEST = 64
_SPEECH = 0.5


class EchoGuard:
    """Follows how loud the person of one line speaks while our own voice is not heard.

    Attributes:
        active: Our own voice may be in what is heard.
        near: What is heard is loud enough to be the person's; kept up while active.
    """

    def __init__(self) -> None:
        self.active = False
        self.near = False
        self._tail = 0
        self._speech_db = _EXPECTED_DB
        self._frames = _TRUST
        self._levels_db: deque[float] = deque(maxlen=_WINDOW)

    def step(self, level_db: float, probability: float, *, playing: bool) -> None:
        """The next frame.

        Args:
            level_db: Its level, dB of full scale.
            probability: That it is speech.
            playing: Our own voice is being heard.
        """
        self._tail = _TAIL if playing else max(0, self._tail - 1)
        self.active = self._tail > 0
        self._levels_db.append(level_db)
        if self.active:
            enough = 10 ** ((self._speech_db - _MARGIN_DB) / 10)
            self.near = sum(10 ** (db / 10) for db in self._levels_db) >= enough * _WINDOW
        elif probability >= _SPEECH:
            self._frames = min(self._frames + 1, _LONGEST)
            self._speech_db += (level_db - self._speech_db) / self._frames
