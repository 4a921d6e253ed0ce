"""A session in virtual time, with all that stands around it: client, ear, engine, store."""

import base64
import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    Heard,
    HearingEvent,
    HearingFailed,
    ReplyEnded,
    ReplyEvent,
    ReplyFailed,
    SentenceReady,
    TextEnded,
    TextReady,
)
from realtime.character import Character
from realtime.effects import (
    CancelTimer,
    Close,
    Effect,
    Feed,
    FinishUtterance,
    Hear,
    Listen,
    Peek,
    Release,
    ReplyPlan,
    Respond,
    Send,
    SetTimer,
    Stop,
)
from realtime.errors import ProtocolError
from realtime.session import Session
from realtime.setup import Setup
from tests.realtime.watcher import Watcher
from voice.ear.events import EarEvent

CHARACTER = Character(
    role_id=1, name="苏轼", language="zh", instructions="你是苏轼。", voice="longxiaochun_v2"
)


def setup(**changes: Any) -> Setup:
    base: dict[str, Any] = {
        "session_id": "sess_0000000000000001",
        "conversation_id": "conv_0000000000000001",
        "model": "role:1",
        "character": CHARACTER,
        "voices": frozenset({"alloy", "echo", "longxiaochun_v2"}),
        "rate_limits": lambda: [{"name": "requests", "limit": 100, "remaining": 99}],
    }
    return Setup(**{**base, **changes})


@dataclass
class Script:
    """What the model and the voice do for one reply.

    Attributes:
        sentences: What is said; joined, all that the model writes.
        seconds: Of audio a sentence.
        delay: Before the first piece, and between two.
        calls: Names of functions that are called afterwards.
        finish_reason: As the engine tells it.
        fails_after: Events after which it breaks off; None for never.
        quick: The model has written all of it before the voice begins.
    """

    sentences: Sequence[str] = ("你好。", "今天天气真好。")
    seconds: float = 1.0
    delay: float = 0.05
    calls: Sequence[str] = ()
    finish_reason: str = "stop"
    fails_after: int | None = None
    quick: bool = False


@dataclass
class SimulatedTurn:
    """The engine's side of a live turn."""

    heard: bytearray = field(default_factory=bytearray)
    run: int = 0
    closed: bool = False
    finished: bool = False
    deaf: bool = False  # it has failed to hear, and nobody is there any more
    peeks: int = 0


class World:
    """Runs a session; time passes in ``wait`` alone.

    Args:
        setup: Of the session.
        seed: Of all that is random: audio, delays where they are not given.
    """

    def __init__(self, setup_: Setup | None = None, seed: int = 0) -> None:
        self.setup = setup_ or setup()
        self.now = 1000.0
        self.random = random.Random(seed)
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.effects: list[Effect] = []
        self.turns: dict[str, SimulatedTurn] = {}
        self.plans: list[ReplyPlan] = []
        self.made: dict[int, bytes] = {}  # audio by run
        self.fed_ms = 0.0
        # What comes next: transcripts (None fails), scripts; the last one stays.
        self.transcripts: list[str | None] = ["你好吗"]
        self.scripts: list[Script] = [Script()]
        self.asr_delay = 0.1
        self.watcher = Watcher(self.setup.lead_seconds)
        self.over = False
        self._ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._timers: dict[str, object] = {}
        self.session = Session(self.setup, clock=lambda: self.now, new_id=self._new_id)
        self._carry_out(self.session.begin())

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):016d}"

    # --- time

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._numbers), do))

    def wait(self, seconds: float) -> None:
        """Let time pass, and all that happens in it."""
        until = self.now + seconds
        for _ in range(200_000):
            if not self._queue or self._queue[0][0] > until:
                break
            self.now, _, do = heapq.heappop(self._queue)
            do()
        else:
            raise AssertionError("the session does not come to rest")
        self.now = until

    # --- the client

    def client(
        self, kind: str, *, character: Character | None = None, **fields: Any
    ) -> list[dict[str, Any]]:
        """One client event; gives what is sent at once."""
        event_id = f"client_{next(self._ids)}"
        event = {"type": kind, "event_id": event_id, **fields}
        return self.raw(event, character=character)

    def raw(
        self, event: Mapping[str, Any], *, character: Character | None = None
    ) -> list[dict[str, Any]]:
        before = len(self.sent)
        event_id = event.get("event_id")
        cause = event_id if isinstance(event_id, str) else None
        effects = self.session.receive(event, character=character)
        if any(isinstance(each, Send) and each.event["type"] == "error" for each in effects):
            assert len(effects) == 1, "an event that is refused changes nothing"
        self._carry_out(effects, cause)
        return [each for _, each in self.sent[before:]]

    def say(self, text: str) -> list[dict[str, Any]]:
        """Type something and ask for an answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        return [
            *self.client("conversation.item.create", item=item),
            *self.client("response.create"),
        ]

    def append(self, milliseconds: int) -> list[dict[str, Any]]:
        """Audio, all in one event."""
        self.fed_ms += milliseconds
        audio = base64.b64encode(b"\x01\x00" * (24 * milliseconds)).decode()
        return self.client("input_audio_buffer.append", audio=audio)

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.client("session.update", session={"type": "realtime", **session})

    def detect(self, **turn_detection: Any) -> list[dict[str, Any]]:
        detection = turn_detection or None
        return self.update(audio={"input": {"turn_detection": detection}})

    # --- the ear, the store

    def ear(self, event: EarEvent) -> list[dict[str, Any]]:
        before = len(self.sent)
        self._carry_out(self.session.on_ear(event))
        return [each for _, each in self.sent[before:]]

    def store_failed(self, item_id: str) -> None:
        self._carry_out(self.session.on_store_failed(item_id))

    def heard(self, turn: str, event: HearingEvent) -> list[dict[str, Any]]:
        """Whatever the turn is like."""
        before = len(self.sent)
        if isinstance(event, HearingFailed):
            self.turns[turn].deaf = True
        self._carry_out(self.session.on_heard(turn, event))
        return [each for _, each in self.sent[before:]]

    def replied(self, turn: str, run: int, event: ReplyEvent) -> None:
        self._carry_out(self.session.on_reply(turn, run, event))

    def close(self, code: int, reason: str, error: ProtocolError | None = None) -> None:
        self._carry_out(self.session.close(code, reason, error))

    def end(self) -> None:
        self.watcher.gone = True
        self._carry_out(self.session.end())
        self.over = True

    # --- what was sent

    def kinds(self, since: int = 0) -> list[str]:
        return [event["type"] for _, event in self.sent[since:]]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.sent if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        return self.events(kind)[-1]

    def done(self, kind: type[Any]) -> list[Any]:
        """All effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    # --- the driver

    def _carry_out(self, effects: Sequence[Effect], cause: str | None = None) -> None:
        self.watcher.see(effects, self.now, cause)
        for effect in effects:
            self.effects.append(effect)
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(event):
                self.sent.append((self.now, dict(event)))
            case Close():
                self.over = True
            case SetTimer(name, seconds):
                token = self._timers[name] = object()
                self.later(seconds, lambda: self._fire(name, token))
            case CancelTimer(name):
                self._timers.pop(name, None)
            case Feed():
                pass
            case Listen(turn):
                self.turns[turn] = SimulatedTurn()
            case Hear(turn, pcm):
                self.turns[turn].heard += pcm
            case Peek(turn):
                self.turns[turn].peeks += 1
                self.later(self.asr_delay, lambda: self._transcribe(turn, final=False))
            case FinishUtterance(turn):
                self.turns[turn].finished = True
                self.later(self.asr_delay, lambda: self._transcribe(turn, final=True))
            case Respond(turn, run, plan):
                self._respond(self.turns.setdefault(turn, SimulatedTurn()), turn, run, plan)
            case Stop(turn):
                self.turns[turn].run = 0
            case Release(turn):
                self.turns[turn].closed = True
                self.turns[turn].run = 0

    def _fire(self, name: str, token: object) -> None:
        if self._timers.get(name) is not token:
            return  # cancelled, or set anew
        del self._timers[name]
        self.watcher.timers.discard(name)
        self._carry_out(self.session.fire(name))

    # --- the engine

    def _next(self, of: list[Any]) -> Any:
        return of.pop(0) if len(of) > 1 else of[0]

    def _transcribe(self, turn: str, *, final: bool) -> None:
        state = self.turns[turn]
        if state.closed or (not final and state.finished):
            return
        text = self._next(self.transcripts) if final else self.transcripts[0]
        if text is None:
            if final:
                self.heard(turn, HearingFailed("asr", "unavailable"))
        else:
            self.heard(turn, Heard(text, final=final))

    def _respond(self, state: SimulatedTurn, turn: str, run: int, plan: ReplyPlan) -> None:
        assert not state.closed
        assert not state.deaf, "a reply is asked for where nobody is any more"
        self.plans.append(plan)
        state.run = run
        script = self._next(self.scripts) if plan.write else Script(())
        events = list(self._events(script, plan, run))
        if script.fails_after is not None:
            events = [*events[: script.fails_after], ReplyFailed("llm", "unavailable")]
        self._tell(state, turn, run, events, script.delay)

    def _tell(
        self,
        state: SimulatedTurn,
        turn: str,
        run: int,
        events: list[ReplyEvent],
        delay: float,
    ) -> None:
        def step() -> None:
            if state.run != run or state.closed:
                return
            event = events.pop(0)
            if isinstance(event, AudioReady):
                self.made[run] = self.made.get(run, b"") + event.pcm
            self.replied(turn, run, event)
            if events:
                self.later(delay, step)

        self.later(delay, step)

    def _events(self, script: Script, plan: ReplyPlan, run: int) -> Any:
        sentences = [*([plan.preface] if plan.preface else []), *script.sentences]
        quick = script.quick and plan.voice is not None
        if quick:
            yield from map(TextReady, sentences)
            if not script.calls:
                yield TextEnded()
        for sentence in sentences:
            middle = len(sentence) // 2
            for piece in (sentence[:middle], sentence[middle:]):
                if piece and not quick:
                    yield TextReady(piece)
            if plan.voice is None:
                continue
            yield SentenceReady(sentence)
            pcm = self.random.randbytes(int(script.seconds * 24_000) * 2)
            for start in range(0, len(pcm), 9_600):
                yield AudioReady(pcm[start : start + 9_600])
        for number, name in enumerate(script.calls):
            yield CallBegins(f"call_{run:08d}{number:08d}", name)
            yield CallArguments('{"city":')
            yield CallArguments(' "杭州"}')
            yield CallEnds()
        yield ReplyEnded(
            "tool_calls" if script.calls else script.finish_reason, 100, 20, cached_tokens=50
        )
