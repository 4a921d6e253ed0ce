"""One reply under way, from the plan to the last piece that the client is sent."""

from dataclasses import dataclass, field

from chat.engine.live_events import ReplyEnded
from chat.llm.tokens import estimate_tokens
from realtime import events, plans
from realtime.character import Character
from realtime.delivery import Delivery
from realtime.effects import ReplyPlan
from realtime.events import Usage
from realtime.playback import PlaybackClock
from realtime.response_options import ResponseOptions
from realtime.responses import Response


@dataclass(slots=True)
class Reply:
    """What a session knows of it.

    Attributes:
        response: As the client sees it.
        delivery: What is on its way.
        clock: Of the one who listens to it.
        character: Who answers.
        waits: Turns whose utterances it waits for.
        heard_seconds: Of the user's speech that it answers.
        plan: What was asked of the engine; None while it waits.
        turn: Where it is made; empty while it waits.
        run: The same; 0 while it waits.
        due: When its timer runs out, where it runs.
    """

    response: Response
    delivery: Delivery
    clock: PlaybackClock
    character: Character
    waits: set[str] = field(default_factory=set)
    heard_seconds: float = 0.0
    plan: ReplyPlan | None = None
    turn: str = ""
    run: int = 0
    due: float = 0.0

    @property
    def options(self) -> ResponseOptions:
        """What it is made with."""
        return self.response.options

    @property
    def out_of_band(self) -> bool:
        """Nothing of it is kept, nobody interrupts it."""
        return self.options.conversation == "none"

    @property
    def timer(self) -> str:
        """Of its audio that waits to be sent."""
        return f"pace:{self.response.id}"

    @property
    def written(self) -> bool:
        """The model has nothing to add."""
        if self.delivery.written:
            return True
        return self.plan is not None and not self.plan.write

    def usage(self) -> Usage:
        """What was used; estimated where it was stopped before the engine could count."""
        counted = self.delivery.all_made
        if not isinstance(counted, ReplyEnded):
            counted = ReplyEnded("stop", plans.prompt_tokens(self.plan), self._tokens_written())
        return events.usage(
            prompt_tokens=counted.prompt_tokens,
            completion_tokens=counted.completion_tokens,
            cached_tokens=counted.cached_tokens,
            heard_seconds=self.heard_seconds,
            spoken_seconds=self.delivery.made_seconds,
        )

    def _tokens_written(self) -> int:
        texts = [
            item.spoken.written if item.spoken else item.text or item.arguments
            for item in self.response.output
        ]
        return sum(estimate_tokens(text) for text in texts)
