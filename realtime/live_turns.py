"""The live turns that a session has open, and what for."""

from dataclasses import dataclass

from realtime.effects import (
    FinishUtterance,
    Hear,
    Listen,
    Peek,
    Release,
    ReplyPlan,
    Respond,
    Stop,
)
from realtime.outbox import Outbox


@dataclass(slots=True)
class _Open:
    hearing: bool = False
    run: int = 0  # of the reply under way; 0 for none


class LiveTurns:
    """Opens turns, and releases each as soon as nothing needs it any more.

    A turn is needed while its utterance is being heard or understood, and while a reply is
    made in it. What comes from a turn that is released, or from a reply that was stopped,
    is none of the session's business: ``hears`` and ``replies`` tell so.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._open: dict[str, _Open] = {}
        self._runs = 0

    # --- hearing

    def listen(self, language: str) -> str:
        """Open a turn for an utterance; gives its name."""
        turn = self._outbox.new_id("turn")
        self._open[turn] = _Open(hearing=True)
        self._outbox.do(Listen(turn, language))
        return turn

    def hear(self, turn: str, pcm: bytes) -> None:
        if pcm:
            self._outbox.do(Hear(turn, pcm))

    def peek(self, turn: str) -> None:
        self._outbox.do(Peek(turn))

    def finish(self, turn: str, *, silent: bool = False) -> None:
        self._outbox.do(FinishUtterance(turn, silent))

    def hears(self, turn: str) -> bool:
        """Whether its utterance is still of interest."""
        return turn in self._open and self._open[turn].hearing

    def heard(self, turn: str) -> None:
        """The utterance is understood, or nobody wants to know any more."""
        if turn in self._open:
            self._open[turn].hearing = False
            self._release_if_idle(turn)

    # --- replying

    def respond(
        self, plan: ReplyPlan, turn: str = "", *, speculative: bool = False
    ) -> tuple[str, int]:
        """Have a reply made; gives the names of its turn and run.

        Args:
            plan: What is asked for.
            turn: An open one in which no reply is under way; else a new one is opened.
            speculative: See ``Respond``.
        """
        if turn not in self._open or self._open[turn].run:
            turn = self._outbox.new_id("turn")
            self._open[turn] = _Open()
        self._runs += 1
        self._open[turn].run = self._runs
        self._outbox.do(Respond(turn, self._runs, plan, speculative))
        return turn, self._runs

    def replies(self, turn: str, run: int) -> bool:
        """Whether this reply is under way."""
        return turn in self._open and self._open[turn].run == run

    def stop(self, turn: str, run: int) -> None:
        """Stop a reply; does nothing where it has ended."""
        if self.replies(turn, run):
            self._outbox.do(Stop(turn))
            self.replied(turn, run)

    def replied(self, turn: str, run: int) -> None:
        """A reply has ended by itself."""
        if self.replies(turn, run):
            self._open[turn].run = 0
            self._release_if_idle(turn)

    # --- closing

    def release_all(self) -> None:
        for turn in list(self._open):
            self._release(turn)

    def _release_if_idle(self, turn: str) -> None:
        state = self._open[turn]
        if not state.hearing and not state.run:
            self._release(turn)

    def _release(self, turn: str) -> None:
        del self._open[turn]
        self._outbox.do(Release(turn))
