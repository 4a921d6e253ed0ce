"""Carries out what a session wants done, and tells it what happens: its hands and ears.

Effects are carried out in their order, each at once. Only three things take their time, and
nothing waits for them but what must: storing (see ``Record``), making a prompt, and frames on
their way to the client (see ``Writer``).
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from accounts.database import in_database_thread
from accounts.quotas import QuotaSpent, RateExceeded
from chat.engine.live import LiveTurn
from chat.engine.live_events import HearingEvent, HearingFailed, ReplyEvent, ReplyFailed
from chat.live import open_live_turn
from realtime import casting, effects
from realtime.admission import Admission
from realtime.character import Character
from realtime.dialect import Dialect
from realtime.errors import ErrorKind, ProtocolError
from realtime.long_appends import in_pieces
from realtime.metrics import Figures
from realtime.record import Conversation, Record
from realtime.reply_orders import ReplyOrders
from realtime.session import Session
from realtime.writer import Writer
from voice.catalogue import VoiceNotServed
from voice.ear.events import EarEvent
from voice.ear.line import Ear

logger = structlog.get_logger(__name__)

_CHARACTERS_KEPT = 32
# The budgets of what a session does.
_HEARING, _WRITING, _SPEAKING = ("seconds",), ("tokens",), ("tokens", "characters")


class Driver:
    """One session's. All of it runs on one event loop; no call waits but where it says so.

    Args:
        session: Decides.
        admission: What it began with.
        dialect: Of the client.
        writer: To the client.
    """

    def __init__(
        self, session: Session, admission: Admission, dialect: Dialect, writer: Writer
    ) -> None:
        self._session = session
        self._admission = admission
        self._dialect = dialect
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._figures = Figures(self._loop.time)
        self._orders = ReplyOrders(admission.opening)
        self._record = Record(_conversation(admission), on_failed=self._not_stored)
        self._ear: Ear | None = None
        self._plays = False
        self._turns: dict[str, LiveTurn] = {}
        self._replies: dict[str, asyncio.Task[None]] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._characters: dict[str, Character] = {}
        self._over = False
        self._do: Mapping[type, Callable[[Any], object]] = {
            effects.Send: self._send,
            effects.Close: lambda effect: writer.finish(effect.code, effect.reason),
            effects.Detect: self._detect,
            effects.Feed: self._feed,
            effects.Playing: self._playing,
            effects.NoteTranscript: self._note_transcript,
            effects.ResetEar: self._reset_ear,
            effects.Listen: self._listen,
            effects.Hear: lambda effect: self._turns[effect.turn].hear(effect.pcm),
            effects.Peek: lambda effect: self._turns[effect.turn].peek(),
            effects.FinishUtterance: self._finish_utterance,
            effects.Respond: self._respond,
            effects.Stop: self._stop,
            effects.Release: self._release,
            effects.StoreUtterance: self._store_utterance,
            effects.StoreTranscript: self._record.keep,
            effects.StoreReply: self._record.keep,
            effects.ForgetItem: self._record.keep,
            effects.SetTimer: self._set_timer,
            effects.CancelTimer: self._cancel_timer,
        }

    # --- what comes from outside

    def begin(self) -> None:
        """The socket is open: the first event goes out."""
        self._figures.began()
        self._carry_out(self._session.begin)

    async def receive(self, event: Mapping[str, Any]) -> None:
        """Take a client's event; waits where it names a character that is to be looked up."""
        event = self._dialect.incoming(event)
        self._session.extensions = self._dialect.is_beta
        self._figures.received(event)
        character = await self._character_in(event)
        for each in in_pieces(event):
            if not self._carry_out(partial(self._session.receive, each, character=character)):
                return
            if each is not event:
                await asyncio.sleep(0)

    def refuse(self, code: str, message: str, **error: Any) -> None:
        """Tell the client of an error that is no matter of the session's."""
        self._carry_out(partial(self._session.refuse, code, message, **error))

    def close(
        self, status: int, reason: str, code: str = "", kind: ErrorKind = "invalid_request_error"
    ) -> None:
        """End the session from our side, in good order.

        Args:
            status: The socket is closed with.
            reason: The same.
            code: Of the error that tells the client so; empty for none.
            kind: The same.
        """
        error = ProtocolError(code, reason, kind=kind) if code else None
        self._carry_out(partial(self._session.close, status, reason, error))

    async def aclose(self) -> None:
        """The socket is gone: end everything, and wait until what was said is stored."""
        if not self._over:
            self._carry_out(self._session.end)
        self._over = True
        if self._ear is not None:
            self._ear.close()
        for timer in self._timers.values():
            timer.cancel()
        for task in (*self._replies.values(), *self._checks):
            task.cancel()
        for turn in self._turns.values():
            turn.close()
        self._turns.clear()
        self._figures.ended()
        await self._record.drain()

    def _carry_out(self, ask: Callable[[], Sequence[effects.Effect]]) -> bool:
        """Have the session's effects carried out; False where an error was among them."""
        if self._over:
            return False
        refused = False
        try:
            for effect in ask():
                self._do[type(effect)](effect)
                refused = refused or _is_error(effect)
        except Exception:
            # Nothing that comes from a client leads here; the session cannot be trusted now.
            logger.exception("session broke")
            self._over = True
            self._writer.finish(1011, "internal error")
            return False
        return not refused

    async def _character_in(self, event: Mapping[str, Any]) -> Character | None:
        """Whom the prompt of an event names."""
        inner = event.get("session" if event.get("type") == "session.update" else "response")
        prompt = inner.get("prompt") if isinstance(inner, Mapping) else None
        name = prompt.get("id") if isinstance(prompt, Mapping) else None
        opening = self._admission.opening
        if not isinstance(name, str) or opening is None:
            return None
        if name not in self._characters and len(self._characters) < _CHARACTERS_KEPT:
            cast = await in_database_thread(casting.cast, name)
            if cast is None:
                return None
            self._orders.add(cast.role)
            self._characters[name] = casting.character_of(cast.role, opening.user_name)
        return self._characters.get(name)

    # --- to the client

    def _send(self, effect: effects.Send) -> None:
        self._figures.sent(effect.event)
        for event in self._dialect.outgoing(effect.event):
            self._writer.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    # --- the ear

    def _detect(self, effect: effects.Detect) -> None:
        if effect.detection is None:
            if self._ear is not None:
                self._ear.reset()
        elif self._ear is None:
            self._ear = Ear(effect.detection, self._on_ear)
            self._ear.playing = self._plays
        else:
            self._ear.detection = effect.detection

    def _feed(self, effect: effects.Feed) -> None:
        if self._ear is not None:
            self._ear.feed(effect.pcm)

    def _playing(self, effect: effects.Playing) -> None:
        self._plays = effect.playing
        if self._ear is not None:
            self._ear.playing = effect.playing

    def _note_transcript(self, effect: effects.NoteTranscript) -> None:
        if self._ear is not None:
            self._ear.note_transcript(effect.text)

    def _reset_ear(self, effect: effects.ResetEar) -> None:
        if self._ear is not None:
            self._ear.reset()

    def _on_ear(self, event: EarEvent) -> None:
        self._carry_out(partial(self._session.on_ear, event))

    # --- live turns

    def _turn(self, name: str) -> LiveTurn:
        """A turn that is open, or is opened now."""
        if name not in self._turns:
            credential = self._admission.credential
            self._turns[name] = open_live_turn(
                on_heard=partial(self._on_heard, name),
                on_reply=partial(self._on_reply, name),
                user_id=credential.user.pk,
                key_id=credential.key_id,
                conversation_id=lambda: self._record.conversation_id,
            )
        return self._turns[name]

    def _listen(self, effect: effects.Listen) -> None:
        self._turn(effect.turn).listen(language=effect.language)
        if self._admission.allowance.bounds(_HEARING):
            checking = asyncio.create_task(self._check_hearing(effect.turn))
            self._checks.add(checking)
            checking.add_done_callback(self._checks.discard)

    async def _check_hearing(self, name: str) -> None:
        """Speech is listened to while it is looked whether it may be."""
        try:
            await self._admission.allowance.check(_HEARING)
        except QuotaSpent as error:
            # What is understood, and answered, by now stays so: the next one is refused.
            if name in self._turns and name not in self._replies:
                self._turns[name].close()
                self._on_heard(name, HearingFailed("asr", "insufficient_quota", str(error)))
        except Exception:
            logger.exception("quota could not be looked at")  # and nobody is refused for it

    def _finish_utterance(self, effect: effects.FinishUtterance) -> None:
        self._turns[effect.turn].finish_utterance(silent=effect.silent)

    def _on_heard(self, name: str, event: HearingEvent) -> None:
        if name in self._turns:
            self._carry_out(partial(self._session.on_heard, name, event))

    def _on_reply(self, name: str, run: int, event: ReplyEvent) -> None:
        if name in self._turns:
            self._carry_out(partial(self._session.on_reply, name, run, event))

    def _respond(self, effect: effects.Respond) -> None:
        self._forsake(effect.turn)
        self._turn(effect.turn)
        self._replies[effect.turn] = asyncio.create_task(self._reply(effect))

    async def _reply(self, effect: effects.Respond) -> None:
        plan, name, run = effect.plan, effect.turn, effect.run
        try:
            if plan.write and not effect.speculative:
                await self._admission.allowance.count_response()
            await self._admission.allowance.check(_SPEAKING if plan.voice else _WRITING)
            order = await self._orders.order(plan)
            await self._record.utterances()
        except QuotaSpent as error:
            self._on_reply(name, run, ReplyFailed("turn", "insufficient_quota", str(error)))
        except RateExceeded as error:
            self._on_reply(name, run, ReplyFailed("turn", "rate_limit_exceeded", str(error)))
        except VoiceNotServed as error:
            self._on_reply(name, run, ReplyFailed("tts", "unavailable", str(error)))
        except Exception:
            logger.exception("reply could not be prepared")
            self._on_reply(name, run, ReplyFailed("turn", "internal"))
        else:
            if name in self._turns:
                self._turns[name].respond(run, order)

    def _stop(self, effect: effects.Stop) -> None:
        self._forsake(effect.turn)
        if effect.turn in self._turns:
            self._turns[effect.turn].stop()

    def _release(self, effect: effects.Release) -> None:
        self._forsake(effect.turn)
        if (turn := self._turns.pop(effect.turn, None)) is not None:
            turn.close()

    def _forsake(self, name: str) -> None:
        """A reply that is still being prepared is not wanted any more."""
        if (task := self._replies.pop(name, None)) is not None:
            task.cancel()

    # --- what is stored

    def _store_utterance(self, effect: effects.StoreUtterance) -> None:
        stored = self._record.keep(effect)
        if effect.pcm is None:
            self._writer.hold(stored)

    def _not_stored(self, item_id: str) -> None:
        self._carry_out(partial(self._session.on_store_failed, item_id))

    # --- time

    def _set_timer(self, effect: effects.SetTimer) -> None:
        self._cancel_timer(effects.CancelTimer(effect.name))
        fire = partial(self._fire, effect.name)
        self._timers[effect.name] = self._loop.call_later(effect.seconds, fire)

    def _cancel_timer(self, effect: effects.CancelTimer) -> None:
        if (timer := self._timers.pop(effect.name, None)) is not None:
            timer.cancel()

    def _fire(self, name: str) -> None:
        del self._timers[name]
        self._carry_out(partial(self._session.fire, name))


def _is_error(effect: effects.Effect) -> bool:
    return isinstance(effect, effects.Send) and effect.event["type"] == "error"


def _conversation(admission: Admission) -> Conversation | None:
    opening = admission.opening
    if opening is None:
        return None
    return Conversation(
        user_id=admission.credential.user.pk,
        role_id=opening.role.pk,
        public_id=opening.public_id,
        pk=opening.conversation_id,
    )
