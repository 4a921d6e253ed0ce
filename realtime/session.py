"""A session of the Realtime protocol: what comes in, and what is to be done about it."""

from collections.abc import Callable, Mapping
from typing import Any

from chat.engine.live_events import HearingEvent, ReplyEvent
from realtime import events, loudspeaker
from realtime.character import Character
from realtime.conversation import ItemList
from realtime.editing import Editing
from realtime.effects import Effect
from realtime.errors import ErrorKind, ProtocolError, missing
from realtime.live_turns import LiveTurns
from realtime.loudspeaker import Loudspeaker
from realtime.outbox import Outbox
from realtime.plans import check_input
from realtime.replies import Replies
from realtime.settings import Settings
from realtime.setup import Setup
from realtime.speculation import Speculation
from realtime.turn_taking import GOES_ON, IDLE, TurnTaking
from realtime.utterance import Utterance
from realtime.utterances import Utterances
from voice.ear.events import EarEvent

EXPIRY = "expiry"

ClientEvent = Mapping[str, Any]


class Session:
    """The state machine. Every input gives the effects that are to be carried out, in order.

    It waits for nothing, and raises for nothing that a client can do: what is wrong is told
    to the client. Once it is over (``Close`` was among the effects, or ``end`` was called) it
    wants nothing done any more.

    Args:
        setup: What it is begun with.
        clock: Monotonic seconds.
        new_id: Makes an id with a prefix: ``new_id("item")`` is ``item_…``.
    """

    def __init__(
        self, setup: Setup, *, clock: Callable[[], float], new_id: Callable[[str], str]
    ) -> None:
        self._outbox = outbox = Outbox(clock, new_id)
        self._settings = settings = Settings(setup)
        self._turns = turns = LiveTurns(outbox)
        self._items = items = ItemList()
        self._loudspeaker = Loudspeaker(outbox)
        self._replies = replies = Replies(
            outbox, turns, items, settings, self._loudspeaker, on_done=self._reply_done
        )
        self._utterances = utterances = Utterances(
            outbox,
            turns,
            items,
            settings,
            on_committed=self._committed,
            on_understood=self._understood,
        )
        self._speculation = Speculation(turns)
        self._turn_taking = TurnTaking(
            outbox, items, settings, utterances, replies, self._speculation
        )
        self._editing = Editing(outbox, items, settings, utterances, replies, self._loudspeaker)
        self._handlers: Mapping[str, Callable[[ClientEvent], None]] = {
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._editing.create,
            "conversation.item.retrieve": self._editing.retrieve,
            "conversation.item.truncate": self._editing.truncate,
            "conversation.item.delete": self._editing.delete,
            "response.cancel": self._cancel,
            # Where it means something there is no socket, but clients send it here too.
            "output_audio_buffer.clear": lambda event: None,
        }

    @property
    def extensions(self) -> bool:
        """What the beta dialect has and GA has not is allowed."""
        return self._settings.extensions

    @extensions.setter
    def extensions(self, allowed: bool) -> None:
        self._settings.extensions = allowed

    # --- inputs

    def begin(self) -> list[Effect]:
        """The socket is open."""
        setup = self._settings.setup
        self._outbox.send(events.session_created(self._settings.config.render(setup)))
        self._utterances.begin()
        self._outbox.set_timer(EXPIRY, setup.max_seconds)
        return self._outbox.take()

    def receive(self, event: ClientEvent, *, character: Character | None = None) -> list[Effect]:
        """A client's event, in GA's words.

        Args:
            event: As it came.
            character: Whom its ``session.prompt`` or ``response.prompt`` names; None where
                it names nobody, or nobody who is known.
        """
        if self._outbox.over:
            return []
        try:
            self._handle(event, character)
        except ProtocolError as error:
            self._outbox.refuse(error, event.get("event_id"))
        return self._outbox.take()

    def refuse(
        self,
        code: str,
        message: str,
        param: str | None = None,
        event_id: str | None = None,
        kind: ErrorKind = "invalid_request_error",
    ) -> list[Effect]:
        """Something is wrong that was found before it came here."""
        self._outbox.refuse(ProtocolError(code, message, param=param, kind=kind), event_id)
        return self._outbox.take()

    def on_ear(self, event: EarEvent) -> list[Effect]:
        """The ear has noticed something."""
        if not self._outbox.over and self._settings.config.detection is not None:
            self._turn_taking.on_ear(event)
        return self._outbox.take()

    def on_heard(self, turn: str, event: HearingEvent) -> list[Effect]:
        """Something of a turn's utterance was understood."""
        if not self._outbox.over and self._turns.hears(turn):
            self._turn_taking.on_heard(turn, event)
        return self._outbox.take()

    def on_reply(self, turn: str, run: int, event: ReplyEvent) -> list[Effect]:
        """Something of a turn's reply was made."""
        if not self._outbox.over and self._turns.replies(turn, run):
            self._turn_taking.on_reply(turn, run, event)
        return self._outbox.take()

    def on_store_failed(self, item_id: str) -> list[Effect]:
        """What was said could not be stored; the session goes on without."""
        event_id = self._editing.not_stored(item_id)
        if item_id in self._items:
            message = f"The item '{item_id}' could not be stored."
            error = ProtocolError("server_error", message, kind="server_error")
            self._outbox.refuse(error, event_id)
        return self._outbox.take()

    def fire(self, timer: str) -> list[Effect]:
        """A timer has run out."""
        if self._outbox.over or not self._outbox.fired(timer):
            return []
        match timer:
            case "expiry":
                self._expire()
            case loudspeaker.TIMER:
                self._loudspeaker.fired()
            case _ if timer in (GOES_ON, IDLE):
                self._turn_taking.fired(timer)
            case _:
                self._replies.fired(timer)
        return self._outbox.take()

    def close(self, code: int, reason: str, error: ProtocolError | None = None) -> list[Effect]:
        """The server ends it: every response is done, the client is told why.

        Args:
            code: The socket is closed with.
            reason: The same.
            error: That is told before; None for none.
        """
        if not self._outbox.over:
            self._close(code, reason, error)
        return self._outbox.take()

    def end(self) -> list[Effect]:
        """The socket is gone: stop all, store what was heard."""
        if not self._outbox.over:
            self._outbox.over = True
            self._wind_up()
        return self._outbox.take()

    # --- client events

    def _handle(self, event: ClientEvent, character: Character | None) -> None:
        kind = event.get("type")
        if kind is None:
            raise missing("type")
        if kind == "session.update":
            self._update(event, character)
        elif kind == "response.create":
            self._create_response(event, character)
        elif isinstance(kind, str) and kind in self._handlers:
            self._handlers[kind](event)
        else:
            raise ProtocolError("invalid_event", "This event is unknown.", param="type")

    def _update(self, event: ClientEvent, character: Character | None) -> None:
        if event.get("session") is None:
            raise missing("session")
        settings = self._settings
        before = settings.config
        settings.update(event["session"], character, audio_sent=self._replies.audio_sent)
        self._outbox.send(events.session_updated(settings.config.render(settings.setup)))
        self._utterances.retune()
        if settings.config.detection is None and before.detection is not None:
            self._turn_taking.cleared()
        if settings.config.idle_timeout_ms != before.idle_timeout_ms:
            self._turn_taking.expect()

    def _append(self, event: ClientEvent) -> None:
        self._utterances.append(event.get("audio"))

    def _commit(self, event: ClientEvent) -> None:
        self._utterances.commit()
        self._turn_taking.client_decides()

    def _clear(self, event: ClientEvent) -> None:
        self._utterances.clear()
        self._turn_taking.cleared()

    def _create_response(self, event: ClientEvent, character: Character | None) -> None:
        if self._settings.listens_only:
            raise ProtocolError(
                "invalid_event", "A transcription session makes no responses.", param="type"
            )
        options, who = self._settings.options(event.get("response"), character)
        check_input(options, self._items)
        self._replies.check(options)
        waiting = self._utterances.waiting.items()
        waits = {turn for turn, spoken in waiting if options.answers(spoken.item_id)}
        if options.conversation == "auto":
            self._turn_taking.client_decides()
            self._outbox.cancel_timer(IDLE)
        self._replies.create(options, who, waits=waits)

    def _cancel(self, event: ClientEvent) -> None:
        response_id = event.get("response_id")
        self._replies.cancel(response_id if isinstance(response_id, str) else "")

    # --- what the parts tell each other

    def _reply_done(self) -> None:
        self._turn_taking.replied()

    def _committed(self, utterance: Utterance) -> None:
        self._replies.heard_seconds += utterance.seconds

    def _understood(self, utterance: Utterance) -> None:
        self._turn_taking.understood(utterance)

    # --- the end

    def _expire(self) -> None:
        minutes = self._settings.setup.max_seconds / 60
        message = f"Your session hit the maximum duration of {minutes:g} minutes."
        self._close(1001, message, ProtocolError("session_expired", message))

    def _close(self, code: int, reason: str, error: ProtocolError | None) -> None:
        self._replies.stop_all()
        if error is not None:
            self._outbox.refuse(error)
        self._outbox.close(code, reason)
        self._wind_up()

    def _wind_up(self) -> None:
        self._speculation.discard()
        self._replies.stop_all()
        self._utterances.close()
        self._turns.release_all()
        self._outbox.cancel_timers()
