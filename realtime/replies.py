"""The replies of a session: one in the conversation, and some out of band beside it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from chat.engine.live_events import HearingFailed, ReplyEnded, ReplyEvent, ReplyFailed
from realtime import events
from realtime.character import Character
from realtime.conversation import ItemList
from realtime.delivery import Delivery
from realtime.effects import ReplyPlan
from realtime.endings import Ending, cancelled, ending, failed
from realtime.errors import ProtocolError
from realtime.events import Reason
from realtime.interruption import Interruption
from realtime.items import Item
from realtime.live_turns import LiveTurns
from realtime.loudspeaker import Loudspeaker
from realtime.outbox import Outbox
from realtime.overlap import Overlap
from realtime.plans import reply_plan
from realtime.reply import Reply
from realtime.response_options import ResponseOptions
from realtime.responses import Response
from realtime.said_words import SaidWords
from realtime.settings import Settings

MOST_OUT_OF_BAND = 4
_SOONER = 0.005  # seconds, of a timer: for less it is not set anew


class Replies:
    """Makes, delivers, cuts and stores them.

    Args:
        outbox: Takes what is to be done.
        turns: Where they are made.
        items: The conversation.
        settings: Of the session.
        loudspeaker: Where they are heard.
        on_done: Called when one of the conversation has ended.

    Attributes:
        active: The one in the conversation that is not done; None for none.
        audio_sent: The character has been heard.
        heard_seconds: Of the user's speech that no response has been made for.
    """

    def __init__(
        self,
        outbox: Outbox,
        turns: LiveTurns,
        items: ItemList,
        settings: Settings,
        loudspeaker: Loudspeaker,
        *,
        on_done: Callable[[], None],
    ) -> None:
        self.active: Reply | None = None
        self.audio_sent = False
        self.heard_seconds = 0.0
        self._beside: dict[str, Reply] = {}
        self._latest: Reply | None = None  # also while it is only still being heard
        self._outbox = outbox
        self._turns = turns
        self._items = items
        self._settings = settings
        self._loudspeaker = loudspeaker
        self._on_done = on_done
        self._words = SaidWords(outbox, items)

    # --- making

    def check(self, options: ResponseOptions) -> None:
        """Whether one more can be made now.

        Raises:
            ProtocolError: ``conversation_already_has_active_response`` or
                ``rate_limit_exceeded``.
        """
        if options.conversation == "none":
            if len(self._beside) >= MOST_OUT_OF_BAND:
                raise ProtocolError(
                    "rate_limit_exceeded",
                    f"At most {MOST_OUT_OF_BAND} responses can be made out of band at once.",
                    kind="rate_limit_error",
                )
        elif self.active is not None:
            raise ProtocolError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress:"
                f" {self.active.response.id}. Wait until the response is finished before"
                " creating a new one.",
            )

    def create(
        self,
        options: ResponseOptions,
        character: Character,
        *,
        waits: Iterable[str] = (),
        turn: str = "",
        plan: ReplyPlan | None = None,
    ) -> Reply:
        """Begin one.

        Args:
            options: What it is made with.
            character: Who answers.
            waits: Turns whose utterances are to be understood first.
            turn: The one to make it in, where it is open.
            plan: What to ask for; None for an answer to the conversation.
        """
        reply = self._begin(options, character)
        reply.waits = set(waits)
        reply.plan = plan
        if not reply.waits:
            self._respond(reply, turn)
        return reply

    def adopt(
        self,
        options: ResponseOptions,
        character: Character,
        plan: ReplyPlan,
        made: tuple[str, int],
        so_far: Sequence[ReplyEvent],
    ) -> None:
        """Begin one that is being made already.

        Args:
            options: What it is made with.
            character: Who answers.
            plan: What was asked for.
            made: Its turn and run.
            so_far: What has come of it.
        """
        reply = self._begin(options, character)
        reply.plan = plan
        reply.turn, reply.run = made
        for event in so_far:
            reply.delivery.take(event)
        if reply.delivery.all_made is not None:
            self._turns.replied(*made)
        self._pump(reply)

    def fail(self, options: ResponseOptions, character: Character, failure: HearingFailed) -> None:
        """Begin one that cannot be made, and end it."""
        self._finish(self._begin(options, character), failed(failure))

    def _begin(self, options: ResponseOptions, character: Character) -> Reply:
        beside = options.conversation == "none"
        response = Response(
            self._outbox,
            options,
            conversation_id=self._settings.setup.conversation_id,
            items=None if beside else self._items,
        )
        clock = self._loudspeaker.join() if beside else self._loudspeaker.clock
        delivery = Delivery(
            response,
            clock,
            fmt=options.output_format,
            lead_seconds=self._settings.setup.lead_seconds,
        )
        reply = Reply(response, delivery, clock, character)
        if beside:
            self._beside[response.id] = reply
        else:
            self.active = self._latest = reply
            reply.heard_seconds, self.heard_seconds = self.heard_seconds, 0.0
        response.create()
        self._outbox.send(events.rate_limits_updated(self._settings.setup.rate_limits()))
        return reply

    def _respond(self, reply: Reply, turn: str = "") -> None:
        if reply.plan is None:
            reply.plan = reply_plan(reply.options, reply.character, self._items)
        reply.turn, reply.run = self._turns.respond(reply.plan, turn)

    def truncated(self, item: Item) -> None:
        """The client has cut what it heard of an item: nobody hears the rest."""
        self._words.store(item)
        if self.active is None and self._being_heard is item:
            self._loudspeaker.stop()

    @property
    def lead(self) -> float:
        """Seconds for which what was sent is still heard."""
        return self._loudspeaker.lead

    @property
    def overlap(self) -> Overlap | None:
        """What our own voice says from now on; None where it is silent."""
        item = self._being_heard
        if item is None or item.spoken is None:
            return None
        item_id = item.id

        def heard_ms() -> float:
            return self._loudspeaker.clock.heard_ms(item_id, self._outbox.clock())

        return Overlap(item.spoken, heard_ms(), heard_ms)

    @property
    def _being_heard(self) -> Item | None:
        heard = self._loudspeaker.clock.unheard(self._outbox.clock())
        return self._items.get(heard[0]) if heard else None

    # --- what they wait for

    def understood(self, turn: str) -> None:
        """An utterance is understood, or was nothing: those that waited for it go on."""
        for reply in self._waiting_for(turn):
            reply.waits.discard(turn)
            if not reply.waits:
                self._respond(reply, turn)

    def not_understood(self, turn: str, failure: HearingFailed) -> None:
        """It cannot be understood: those that waited for it fail."""
        for reply in self._waiting_for(turn):
            self._finish(reply, failed(failure))

    def _waiting_for(self, turn: str) -> list[Reply]:
        return [reply for reply in self._all() if turn in reply.waits]

    def _all(self) -> list[Reply]:
        return [*([self.active] if self.active else []), *self._beside.values()]

    # --- delivering

    def take(self, turn: str, run: int, event: ReplyEvent) -> None:
        """Something has come of a reply."""
        for reply in self._all():
            if (reply.turn, reply.run) == (turn, run):
                reply.delivery.take(event)
                if isinstance(event, ReplyEnded | ReplyFailed):
                    self._turns.replied(turn, run)
                self._pump(reply)
                return

    def fired(self, timer: str) -> None:
        """A reply's audio may be sent on."""
        for reply in self._all():
            if reply.timer == timer:
                self._pump(reply)
                return

    def _pump(self, reply: Reply) -> None:
        now = self._outbox.clock()
        wait = reply.delivery.pump(now)
        if not reply.out_of_band:
            self.audio_sent = self.audio_sent or reply.delivery.sent_seconds > 0
        self._loudspeaker.update()
        if reply.delivery.ended is not None:
            self._finish(reply, ending(reply.delivery.ended))
        elif wait is not None:
            self._wake(reply, now + wait)

    def _wake(self, reply: Reply, due: float) -> None:
        """Set its timer, unless it runs out before that anyway: this is for every piece."""
        if not self._outbox.runs(reply.timer) or due < reply.due - _SOONER:
            reply.due = due
            self._outbox.set_timer(reply.timer, due - self._outbox.clock())

    # --- stopping

    def cancel(self, response_id: str = "") -> None:
        """Stop one at the client's wish: the active one, or the one that it names.

        Raises:
            ProtocolError: ``response_cancel_not_active``: there is none.
        """
        if response_id in self._beside:
            self._finish(self._beside[response_id], cancelled("client_cancelled"))
            return
        if self.active is None or response_id not in ("", self.active.response.id):
            raise ProtocolError(
                "response_cancel_not_active", "Cancellation failed: no active response found."
            )
        self.interrupt("client_cancelled")

    def interrupt(self, reason: Reason | None) -> Interruption | None:
        """Stop the one in the conversation, and what is still to be heard of those before.

        Returns:
            What was interrupted; None where nothing was being said.
        """
        reply = self.active or (self._latest if self._loudspeaker.lead else None)
        if reply is None:
            return None
        if self.active is not None:
            self._turns.stop(reply.turn, reply.run)
            reply.delivery.drop()
        cut = self._cut(reply)
        self._loudspeaker.stop()
        if self.active is not None:
            self._finish(reply, cancelled(reason))
        for item in cut:
            self._words.store(item)
        said = [item for item in reply.response.output if item.kind == "message"]
        self._latest = None
        return Interruption(reply, said[-1] if said else None)

    def _cut(self, reply: Reply) -> list[Item]:
        """Cut to what was heard by now whatever is not heard to its end."""
        now, clock = self._outbox.clock(), self._loudspeaker.clock
        unheard = [self._items.get(item_id) for item_id in clock.unheard(now)]
        cut = [item for item in unheard if item is not None]
        message = reply.response.message
        if message is not None and message not in cut:
            cut.append(message)
        cut = [item for item in cut if item.spoken is not None]
        for item in cut:
            item.cut(clock.heard_ms(item.id, now))
        return cut

    def stop_all(self) -> None:
        """The session is over. What was sent to its end counts as heard: who should know?"""
        if self.active is not None:
            self.interrupt(None)
        for reply in list(self._beside.values()):
            self._finish(reply, cancelled())

    def _finish(self, reply: Reply, how: Ending) -> None:
        self._turns.stop(reply.turn, reply.run)
        self._outbox.cancel_timer(reply.timer)
        reply.waits.clear()
        reply.response.finish(how.status, usage=reply.usage(), details=how.details)
        if reply.out_of_band:
            del self._beside[reply.response.id]
            self._loudspeaker.leave(reply.clock, cut=how.status == "cancelled")
            return
        self.active = None
        for item in reply.response.output:
            self._words.store(item)
        self._on_done()

    # --- going on

    def resume(self, interruption: Interruption, *, without: Sequence[str]) -> None:
        """Go on with one that was interrupted by mistake.

        Args:
            interruption: It is resumable.
            without: What was taken for the user's words.
        """
        reply = interruption.reply
        options = replace(reply.options, metadata=None)
        plan = interruption.plan(options, self._items, without=without)
        self.create(options, reply.character, plan=plan)
