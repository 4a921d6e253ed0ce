"""Spares the network what is plainly no speech: frames as quiet as the room."""

SILENCE_DB = -90.0
"""The level of a frame of digital silence; nothing is quieter."""

# The network has to have found nothing in so many frames before it is spared any.
_UNTIL_SURE = 8
_NO_SPEECH = 0.1
# Speech that can be told from the room is louder than it by at least this.
_MARGIN_DB = 4.0
# Now and then a frame passes all the same: about twice a second.
_EVERY = 16
_FAST, _SLOW = 1 / 8, 1 / 32


class EnergyGate:
    """Learns how loud a line is while nobody speaks, from what the network says of it.

    So it depends on no level of the microphone: a whisper into a quiet one passes, a loud
    fan does not. Where the room becomes louder all passes until the network has found
    nothing in it.
    """

    def __init__(self) -> None:
        self._room_db = SILENCE_DB
        self._without_speech = 0
        self._spared = 0

    def spares(self, level_db: float) -> bool:
        """Whether a frame of this level (dB of full scale) needs no network."""
        if self._without_speech < _UNTIL_SURE or level_db > self._room_db + _MARGIN_DB:
            self._spared = 0
            return False
        self._room_db += (level_db - self._room_db) * _SLOW
        self._spared = (self._spared + 1) % _EVERY
        return self._spared != 0

    def learn(self, level_db: float, probability: float) -> None:
        """What the network found in a frame that was not spared."""
        if probability >= _NO_SPEECH:
            self._without_speech = 0
            return
        if not self._without_speech:
            self._room_db = level_db
        self._without_speech += 1
        self._room_db += (level_db - self._room_db) * _FAST
