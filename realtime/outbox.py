"""The effects of one input, gathered in order."""

from collections.abc import Callable, Mapping
from typing import Any

from realtime.effects import CancelTimer, Close, Effect, Send, SetTimer
from realtime.errors import ProtocolError


class Outbox:
    """Where every part of a session puts what it wants done.

    Once the session is over nothing more is sent, whatever the parts still have to tidy up.

    Args:
        clock: Monotonic seconds.
        new_id: Makes an id with a prefix: ``new_id("event")`` is ``event_…``.
    """

    def __init__(self, clock: Callable[[], float], new_id: Callable[[str], str]) -> None:
        self.clock = clock
        self.new_id = new_id
        self.over = False
        self._effects: list[Effect] = []
        self._timers: set[str] = set()

    def send(self, event: Mapping[str, Any]) -> None:
        """An event for the client; it is given its id here."""
        if not self.over:
            self._effects.append(Send({**event, "event_id": self.new_id("event")}))

    def refuse(self, error: ProtocolError, event_id: object = None) -> None:
        """The ``error`` event; ``event_id`` is that of the client's event."""
        self.send(error.body(event_id))

    def do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def close(self, code: int, reason: str) -> None:
        """Nothing is sent after this."""
        if not self.over:
            self._effects.append(Close(code, reason))
        self.over = True

    def set_timer(self, name: str, seconds: float) -> None:
        """Starts it anew where it runs already."""
        self._timers.add(name)
        self._effects.append(SetTimer(name, max(0.0, seconds)))

    def cancel_timer(self, name: str) -> None:
        """Does nothing where it does not run."""
        if name in self._timers:
            self._timers.discard(name)
            self._effects.append(CancelTimer(name))

    def runs(self, timer: str) -> bool:
        """Whether it is set."""
        return timer in self._timers

    def cancel_timers(self) -> None:
        for name in sorted(self._timers):
            self.cancel_timer(name)

    def fired(self, name: str) -> bool:
        """Takes note that a timer has run out; False where it had been cancelled meanwhile."""
        if name not in self._timers:
            return False
        self._timers.discard(name)
        return True

    def take(self) -> list[Effect]:
        """All that was gathered since the last time."""
        effects, self._effects = self._effects, []
        return effects
