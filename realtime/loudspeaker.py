"""The client's loudspeaker: what of our own voice is heard there, and until when."""

from realtime.effects import Playing
from realtime.outbox import Outbox
from realtime.playback import PlaybackClock

TIMER = "playback"

_SOON = 0.005  # seconds: timers do not fire to the very moment


class Loudspeaker:
    """Tells the ear while our own voice is heard, by the clock.

    Attributes:
        clock: What was sent and what was heard of the conversation.
        playing: Our voice is being heard, as far as the ear was told.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.clock = PlaybackClock()
        self.playing = False
        self._outbox = outbox
        self._beside: list[PlaybackClock] = []
        self._rest_ends = float("-inf")  # of those beside it that have left

    @property
    def lead(self) -> float:
        """Seconds of the conversation's audio that are not heard yet."""
        return self.clock.lead(self._outbox.clock())

    def join(self) -> PlaybackClock:
        """The clock of a response out of band: nobody interrupts it, but it is heard too."""
        clock = PlaybackClock()
        self._beside.append(clock)
        return clock

    def leave(self, clock: PlaybackClock, *, cut: bool) -> None:
        """That response is done.

        Args:
            clock: Its own.
            cut: The client throws away what it has not played; else that is still heard.
        """
        now = self._outbox.clock()
        self._beside.remove(clock)
        if cut:
            self._look_again()
        else:
            self._rest_ends = max(self._rest_ends, now + clock.lead(now))

    def update(self) -> None:
        """Audio was sent, or time has passed."""
        lead = self._audible
        if lead > _SOON:
            if not self.playing:
                self.playing = True
                self._outbox.do(Playing(True))
                self._outbox.set_timer(TIMER, lead)
        else:
            self._fall_silent()

    def fired(self) -> None:
        """The timer has run out: there may be more to hear by now."""
        self._look_again()

    def stop(self) -> None:
        """The client throws away what it has not played of the conversation."""
        self.clock.stop(self._outbox.clock())
        self._look_again()

    @property
    def _audible(self) -> float:
        """Seconds for which anything at all is still heard."""
        now = self._outbox.clock()
        leads = [clock.lead(now) for clock in (self.clock, *self._beside)]
        return max(self._rest_ends - now, *leads)

    def _look_again(self) -> None:
        if (lead := self._audible) <= _SOON:
            self._fall_silent()
        elif self.playing:
            self._outbox.set_timer(TIMER, lead)

    def _fall_silent(self) -> None:
        if self.playing:
            self.playing = False
            self._outbox.cancel_timer(TIMER)
            self._outbox.do(Playing(False))
