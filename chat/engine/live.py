"""A live turn: an utterance that is heard while it is spoken, and the replies to it."""

from collections.abc import Callable
from typing import Protocol

from chat.engine.live_events import HearingEvent, ReplyEvent
from chat.engine.order import ReplyOrder

OnHeard = Callable[[HearingEvent], None]
OnReply = Callable[[int, ReplyEvent], None]


class LiveTurn(Protocol):
    """Hears one utterance, or none, and makes replies, one at a time.

    Where the engine runs is the implementation's own: in this event loop
    (``chat.engine.live_run.LiveRun``) or in a worker (``chat.live_remote``). No call waits: each
    is taken in order and carried out in the background. Events come by two callbacks, in
    order, on the event loop that made the turn, never from within a call:

    - ``on_heard(event)`` of the utterance;
    - ``on_reply(run, event)`` of the reply numbered ``run``: exactly one ``ReplyEnded`` or
      ``ReplyFailed``, the last of its run, unless the run was stopped, or the turn closed
      while it was made. In a turn that is closed already it fails (``closed``).
    """

    def listen(self, *, language: str) -> None:
        """An utterance begins; once a turn.

        Args:
            language: A hint to the recogniser, ``zh``, ``en`` or empty.
        """
        ...

    def hear(self, pcm: bytes) -> None:
        """The next audio of the utterance: PCM16 mono at 16 000 Hz, of any even length."""
        ...

    def peek(self) -> None:
        """Have a ``Heard`` that is not final of what was heard so far.

        For recognisers that do not stream; does nothing for those that do, which tell by
        themselves. Where nothing but silence follows, ``finish_utterance(silent=True)``
        takes its text for the final one.
        """
        ...

    def finish_utterance(self, *, silent: bool = False) -> None:
        """The utterance has ended; its final ``Heard`` (or ``HearingFailed``) comes.

        Args:
            silent: Nothing but silence was heard since the last ``peek``.
        """
        ...

    def respond(self, run: int, order: ReplyOrder) -> None:
        """Make a reply. One that is under way is stopped first.

        Args:
            run: Its number, higher than those before.
            order: What to do.
        """
        ...

    def stop(self) -> None:
        """Stop the reply under way, at once and upstream; no event of it comes any more."""
        ...

    def close(self) -> None:
        """End everything; no event comes any more. What was used is still accounted for."""
        ...
