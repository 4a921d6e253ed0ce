"""A reply on its way to the client: in order, paced, in pieces that play at once."""

from collections import deque
from itertools import islice

from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    ReplyEnded,
    ReplyEvent,
    ReplyFailed,
    SentenceReady,
    TextEnded,
    TextReady,
)
from realtime.audio_formats import OutputFormat
from realtime.output_audio import OutputEncoder
from realtime.playback import PlaybackClock
from realtime.responses import Response

_BYTES_A_SECOND = 48_000  # PCM16 mono at 24 000 Hz
_FIRST_PIECE = 0.04
_PIECE = 0.1
# What is shorter is no piece of its own: the protocol's 20 ms, and what a resampler keeps back.
_LEAST = 0.025
# A piece that is not full waits for more, unless the listener would soon have nothing; and one
# that is no piece unless the listener would have nothing at once.
_LOW, _LOWEST = 0.25, 0.05
# Once enough was sent, the next pieces go together.
_REST = 0.25
_SLACK = 0.001  # timers do not fire to the very moment


class Delivery:
    """Hands on what the engine makes, audio never further ahead than the listener needs.

    What comes behind audio waits for it: sentences, calls, the end. Only the text that
    stands behind what is spoken is written down at once.

    Args:
        response: Takes all of it.
        clock: Of the listener.
        fmt: Of the audio.
        lead_seconds: How far audio may be sent ahead of its being heard.

    Attributes:
        ended: The engine's last event, once all before it was sent.
        written: The model has nothing to add.
        made_seconds: Of all audio that the engine has made.
        sent_seconds: Of what was sent of it.
    """

    def __init__(
        self,
        response: Response,
        clock: PlaybackClock,
        *,
        fmt: OutputFormat,
        lead_seconds: float,
    ) -> None:
        self.ended: ReplyEnded | ReplyFailed | None = None
        self.written = False
        self.made_seconds = 0.0
        self.sent_seconds = 0.0
        self._response = response
        self._clock = clock
        self._fmt = fmt
        self._encoder: OutputEncoder | None = None  # of the message that is being said
        self._lead_seconds = max(lead_seconds, _PIECE + _LEAST)
        self._queue: deque[ReplyEvent | bytearray] = deque()
        self._sentence: str | None = None  # told just before its first audio
        self._last: ReplyEnded | ReplyFailed | None = None  # it has come, all is made
        self._calls = False

    def take(self, event: ReplyEvent) -> None:
        """The next of the engine's events; `pump` sends it when it is time."""
        if isinstance(event, AudioReady):
            self.made_seconds += len(event.pcm) / _BYTES_A_SECOND
            if self._queue and isinstance(self._queue[-1], bytearray):
                self._queue[-1] += event.pcm
            elif event.pcm:
                self._queue.append(bytearray(event.pcm))
            return
        if isinstance(event, TextEnded):
            self.written = True
            return
        if isinstance(event, CallBegins):
            self._calls = True
        if isinstance(event, ReplyEnded | ReplyFailed):
            self._last = event
            self.written = self.written or isinstance(event, ReplyEnded)
        if isinstance(event, TextReady) and self._response.aloud and not self._calls:
            self._response.write(event.text)
        else:
            self._queue.append(event)

    @property
    def all_made(self) -> ReplyEnded | ReplyFailed | None:
        """The engine's last event, also while what came before it is still being sent."""
        return self._last

    def pump(self, now: float) -> float | None:
        """Send what may be sent by now.

        Returns:
            Seconds after which there is more to send; None where nothing waits for time.
        """
        while self._queue:
            head = self._queue[0]
            if isinstance(head, bytearray):
                if self._grows and not self.sent_seconds and len(head) < _bytes(_LEAST):
                    return None  # the very first: more comes at once
                if (wait := self._wait(head, now)) is not None:
                    return wait
                self._send(head, now)
                if not head:
                    self._queue.popleft()
            else:
                self._queue.popleft()
                self._apply(head)
        return None

    def drop(self) -> None:
        """It is cut off: nothing of what waits is sent any more."""
        spoken = self._response.spoken
        if spoken is not None and spoken.sentences and self._sentence is None:
            head = self._queue[0] if self._queue else None
            if isinstance(head, bytearray):
                spoken.sound(len(head) * 1000 / _BYTES_A_SECOND)
            elif head is None and self._last is None:
                spoken.sound(2)  # at least: nobody knows how much more it would have been
        self._queue.clear()
        self._sentence = None

    def _wait(self, waiting: bytearray, now: float) -> float | None:
        """Seconds until audio may be sent; None for now."""
        lead = self._clock.lead(now)
        if self._grows and self.sent_seconds and len(waiting) < _bytes(_PIECE + _LEAST):
            low = _LOW if len(waiting) >= _bytes(2 * _LEAST) else _LOWEST
            if lead > low + _SLACK:
                return lead - low
        piece = self._next_piece(waiting, lead) / _BYTES_A_SECOND
        if lead + piece > self._lead_seconds + _SLACK:
            return lead - max(self._lead_seconds - piece - _REST, 0.0)
        return None

    @property
    def _grows(self) -> bool:
        """More may come of the audio that is first in the queue."""
        return len(self._queue) == 1

    def _next_piece(self, waiting: bytearray, lead: float) -> int:
        """How many bytes are sent next; what is left of them then is a piece, too."""
        piece = _bytes(_PIECE if self.sent_seconds else _FIRST_PIECE)
        if len(waiting) - piece >= _bytes(_LEAST):
            return piece
        # The end of a sentence may be anything: of what may be the last there is kept enough.
        kept = self._grows and self.sent_seconds and lead > _LOWEST + _SLACK
        return len(waiting) - (_bytes(_LEAST) if kept else 0)

    def _send(self, waiting: bytearray, now: float) -> None:
        self._tell_sentence()
        size = self._next_piece(waiting, self._clock.lead(now))
        pcm = bytes(waiting[:size])
        del waiting[:size]
        seconds = size / _BYTES_A_SECOND
        self.sent_seconds += seconds
        encoder = self._encoder or OutputEncoder(self._fmt)
        encoded = encoder.encode(pcm)
        if waiting or not self._all_said:
            self._encoder = encoder
        else:
            # Alone it would be 2 ms.
            encoded += encoder.finish()
            self._encoder = None
        self._response.sound(encoded, seconds)
        self._clock.sent(self._response.message_id, seconds, now)

    @property
    def _all_said(self) -> bool:
        """No audio of this message follows that which is first in the queue."""
        for each in islice(self._queue, 1, None):
            if isinstance(each, CallBegins | ReplyEnded | ReplyFailed):
                return True
            if isinstance(each, bytearray):
                return False
        return False

    def _apply(self, event: ReplyEvent | bytearray) -> None:
        self._tell_sentence()
        match event:
            case SentenceReady(text):
                self._sentence = text
            case TextReady(text):
                self._response.write(text)
            case CallBegins(call_id, name):
                self._finish_audio()
                self._response.begin_call(call_id, name)
            case CallArguments(text):
                self._response.argue(text)
            case CallEnds():
                self._response.end_call()
            case ReplyEnded() | ReplyFailed():
                self._finish_audio()
                self.ended = event

    def _tell_sentence(self) -> None:
        if self._sentence is not None:
            sentence, self._sentence = self._sentence, None
            self._response.begin_sentence(sentence)

    def _finish_audio(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            self._response.sound(encoder.finish(), 0.0)


def _bytes(seconds: float) -> int:
    return round(seconds * _BYTES_A_SECOND)
