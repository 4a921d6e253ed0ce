"""An answer that is begun before it is certain that the user has finished."""

from dataclasses import dataclass, field, replace

from chat.engine.live_events import ReplyEvent, ReplyFailed
from chat.llm.base import PromptMessage
from realtime.effects import ReplyPlan
from realtime.live_turns import LiveTurns

# Each one costs a prompt: a user who halts after every word gets no more of them.
MOST_A_TURN = 3


@dataclass(slots=True)
class _Begun:
    turn: str
    run: int
    plan: ReplyPlan
    held: list[ReplyEvent] = field(default_factory=list)


class Speculation:
    """At most one such answer; what comes of it is held back until it is adopted.

    Args:
        turns: Where it is made.
    """

    def __init__(self, turns: LiveTurns) -> None:
        self._turns = turns
        self._begun: _Begun | None = None
        self._turn = ""
        self._count = 0

    def begin(self, turn: str, plan: ReplyPlan) -> None:
        """Have it made; one for other words is discarded.

        Args:
            turn: That hears the user.
            plan: Ends with what the user has said so far.
        """
        if self._begun is not None and same_plan(self._begun.plan, plan):
            return
        self.discard()
        if turn != self._turn:
            self._turn, self._count = turn, 0
        if self._count < MOST_A_TURN:
            self._count += 1
            self._begun = _Begun(*self._turns.respond(plan, turn, speculative=True), plan)

    def take(self, turn: str, run: int, event: ReplyEvent) -> bool:
        """Hold an event back; False where it is none of this answer's."""
        begun = self._begun
        if begun is None or (begun.turn, begun.run) != (turn, run):
            return False
        if isinstance(event, ReplyFailed):
            # It was worth a try. When the user has finished it is tried in earnest.
            self.discard()
        else:
            begun.held.append(event)
        return True

    def adopt(self, plan: ReplyPlan) -> tuple[tuple[str, int], list[ReplyEvent]] | None:
        """Hand over what is being made, if it is an answer to this; else discard it.

        Returns:
            Turn and run, and what has come so far.
        """
        begun = self._begun
        if begun is None or not same_plan(begun.plan, plan):
            self.discard()
            return None
        self._begun = None
        return (begun.turn, begun.run), begun.held

    def discard(self) -> None:
        """The user goes on, or something else has changed."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._turns.stop(begun.turn, begun.run)


def same_plan(one: ReplyPlan, other: ReplyPlan) -> bool:
    """Whether two plans ask for the same, but for spaces and punctuation of the last words."""
    if not one.messages or not other.messages:
        return one == other
    return _plain(one) == _plain(other)


def _plain(plan: ReplyPlan) -> ReplyPlan:
    last = plan.messages[-1]
    content = "".join(sign for sign in last.content.casefold() if sign.isalnum())
    words: PromptMessage = replace(last, content=content)
    return replace(plan, messages=(*plan.messages[:-1], words))
