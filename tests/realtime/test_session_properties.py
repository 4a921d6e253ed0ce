"""Whatever a client, an ear and an engine do, and whenever: the invariants hold."""

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.engine.live_events import AudioReady, Heard, HearingFailed, ReplyEnded, TextReady
from realtime.errors import ProtocolError
from tests.realtime.simulator import CHARACTER, Script, World, setup
from voice.ear.events import Paused, Resumed, SpeechStarted, SpeechStopped

DETECTIONS: list[Any] = [
    None,
    {"type": "none"},
    {"type": "server_vad"},
    {"type": "server_vad", "idle_timeout_ms": 5000},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "create_response": False, "interrupt_response": False},
    {"type": "semantic_vad", "eagerness": "high"},
    {"type": "server_vad", "threshold": 7},
]
RESPONSES: list[Any] = [
    None,
    {},
    {"instructions": None},
    {"output_modalities": ["text"]},
    {"metadata": {"a": "b"}},
    {"conversation": "none"},
    {"conversation": "none", "input": [], "output_modalities": ["text"]},
    {"conversation": "none", "input": [{"type": "item_reference", "id": "item_none"}]},
    {"voice": 7, "audio": {"output": {"voice": "nobody"}}},
    {"tools": [{"type": "function", "name": "weather"}], "tool_choice": "required"},
    {"max_output_tokens": 0},
    "nonsense",
]
RAW: list[Any] = [
    {},
    {"type": None},
    {"type": 7},
    {"type": "response.fly", "event_id": ["no string"]},
    {"type": "input_audio_buffer.append"},
    {"type": "input_audio_buffer.append", "audio": "&&&"},
    {"type": "input_audio_buffer.append", "audio": 12},
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"odd").decode()},
    {"type": "conversation.item.create"},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "nobody"}},
    {"type": "conversation.item.create", "item": {"type": "spaceship"}},
    {"type": "conversation.item.truncate", "item_id": 3},
    {"type": "response.cancel", "response_id": {"a": 1}},
    {"type": "session.update"},
    {"type": "session.update", "session": "nonsense"},
    {"type": "session.update", "session": {"type": "transcription"}},
    {"type": "session.update", "session": {"audio": {"output": {"voice": "echo"}}}},
    {"type": "session.update", "session": {"output_modalities": ["text"]}},
    {"type": "session.update", "session": {"output_modalities": ["audio"]}},
    {"type": "session.update", "session": {"audio": {"input": {"transcription": {}}}}},
    {"type": "session.update", "session": {"prompt": {"id": "nobody"}}},
    {"type": "output_audio_buffer.clear"},
]
TEXTS = ["", "嗯", "对对对", "你好吗？我想听一首诗", "然后", "stop right there please", None]
SENTENCES = ["大江东去，", "浪淘尽，", "千古风流人物。", "Once upon a time. ", "（微笑）"]

number = st.integers(0, 30)
pause = st.sampled_from([0.0, 0.0, 0.01, 0.05, 0.2, 0.7, 2.0])
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.03, 0.1, 0.4, 1.5, 6.0, 30.0])),
    st.tuples(st.just("append"), st.sampled_from([1, 20, 40, 100, 300])),
    st.tuples(
        st.just("ear"), st.sampled_from(["start", "pause", "resume", "stop", "next", "next"])
    ),
    st.tuples(st.just("turn"), st.sampled_from(TEXTS[1:-1]), pause, pause),
    st.tuples(st.just("turn"), st.sampled_from(TEXTS[1:-1]), pause, pause),
    st.tuples(st.just("partial"), st.sampled_from(TEXTS[:-1])),
    st.tuples(st.just("deaf")),
    st.tuples(st.just("commit")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("say"), number, st.booleans()),
    st.tuples(st.just("clip")),
    st.tuples(st.just("seed")),
    st.tuples(st.just("output")),
    st.tuples(st.just("respond"), st.sampled_from(RESPONSES)),
    st.tuples(st.just("refer"), number),
    st.tuples(st.just("cancel"), number),
    st.tuples(st.just("truncate"), number, st.sampled_from([0, 1, 300, 1100, 2500, 10_000, -1])),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("retrieve"), number),
    st.tuples(st.just("detect"), st.sampled_from(DETECTIONS)),
    st.tuples(st.just("raw"), st.sampled_from(RAW)),
    st.tuples(st.just("prompt")),
    st.tuples(st.just("stale")),
    st.tuples(st.just("lost"), number),
)
SCRIPTS = st.builds(
    Script,
    sentences=st.lists(st.sampled_from(SENTENCES), max_size=4),
    seconds=st.sampled_from([0.0, 0.015, 0.3, 2.0]),
    delay=st.sampled_from([0.0, 0.02, 0.3]),
    calls=st.lists(st.sampled_from(["weather", "time"]), max_size=2),
    finish_reason=st.sampled_from(["stop", "stop", "length", "content_filter"]),
    fails_after=st.one_of(st.none(), st.none(), st.integers(0, 12)),
    quick=st.booleans(),
)


class Play:
    """Plays steps against a session."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.paused = False

    def item(self, number: int) -> str:
        order = self.world.watcher.order
        return order[number % len(order)] if order and number < 29 else "item_unknown"

    def do(self, name: str, *args: Any) -> None:
        getattr(self, f"do_{name}")(*args)

    def do_wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def do_append(self, milliseconds: int) -> None:
        self.world.append(milliseconds)

    def do_ear(self, event: str) -> None:
        world = self.world
        now = int(world.fed_ms)
        if event == "next":
            hears = world.session._utterances.current is not None
            event = "start" if not hears else "resume" if self.paused else "pause"
            if hears and self.paused and world.random.random() < 0.6:
                event = "stop"
        self.paused = event == "pause"
        match event:
            case "start":
                world.ear(SpeechStarted(max(0, now - 300)))
            case "pause":
                world.ear(Paused(now))
            case "resume":
                world.ear(Resumed())
            case "stop":
                world.ear(SpeechStopped(now, now, cut=world.random.random() < 0.1))

    def do_turn(self, text: str, hesitates: float, waits: float) -> None:
        """A whole utterance, with what a streaming recogniser makes of it."""
        self.do_append(300)
        self.do_ear("start")
        self.do_partial(text)
        self.do_ear("pause")
        self.do_wait(hesitates)
        self.do_append(100)
        self.do_ear("stop")
        self.do_wait(waits)

    def do_partial(self, text: str) -> None:
        hears = [name for name in self.world.turns if name in self.world.watcher.hearing]
        for name in hears:
            self.world.heard(name, Heard(text, final=False))

    def do_deaf(self) -> None:
        """The recogniser fails in the middle of what it hears."""
        hears = [name for name in self.world.turns if name in self.world.watcher.hearing]
        for name in hears:
            self.world.heard(name, HearingFailed("asr", "unavailable"))

    def do_commit(self) -> None:
        self.world.client("input_audio_buffer.commit")

    def do_clear(self) -> None:
        sent = self.world.client("input_audio_buffer.clear")
        assert self.world.over or "input_audio_buffer.cleared" in [e["type"] for e in sent]

    def do_say(self, number: int, bogus: bool) -> None:
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "你好"}],
        }
        if number % 5 == 0:
            item["id"] = f"mine_{number}"
        where = {0: "", 1: "root", 2: self.item(number), 3: None}.get(number % 4)
        previous = {"previous_item_id": "item_unknown" if bogus and number > 20 else where}
        self.world.client("conversation.item.create", item=item, **previous)

    def do_clip(self) -> None:
        audio = base64.b64encode(bytes(9600)).decode()
        content = [{"type": "input_text", "text": "听"}, {"type": "input_audio", "audio": audio}]
        item = {"type": "message", "role": "user", "content": content}
        self.world.client("conversation.item.create", item=item)

    def do_seed(self) -> None:
        content = [{"type": "output_text", "text": "我来了"}]
        item = {"type": "message", "role": "assistant", "content": content}
        self.world.client("conversation.item.create", item=item)

    def do_output(self) -> None:
        calls = [i for r in self.world.watcher.responses.values() for i in r.items.items()]
        call = next((key for key, seen in calls if seen.kind == "function_call"), "call_x")
        item = {"type": "function_call_output", "call_id": call, "output": "{}"}
        self.world.client("conversation.item.create", item=item)

    def do_respond(self, response: Any) -> None:
        self.world.client("response.create", response=response)

    def do_refer(self, number: int) -> None:
        reference = {"type": "item_reference", "id": self.item(number)}
        self.do_respond({"conversation": "none", "input": [reference]})

    def do_cancel(self, number: int) -> None:
        responses = list(self.world.watcher.responses)
        if number % 3 and responses:
            self.world.client(
                "response.cancel", response_id=responses[-1 - number % len(responses)]
            )
        else:
            self.world.client("response.cancel")

    def do_truncate(self, number: int, end: int) -> None:
        replies = [i for r in self.world.watcher.responses.values() for i in r.items]
        item = replies[-1 - number % len(replies)] if replies and number % 4 else self.item(number)
        self.world.client(
            "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=end
        )

    def do_delete(self, number: int) -> None:
        self.world.client("conversation.item.delete", item_id=self.item(number))

    def do_retrieve(self, number: int) -> None:
        self.world.client("conversation.item.retrieve", item_id=self.item(number))

    def do_detect(self, detection: Any) -> None:
        self.world.update(audio={"input": {"turn_detection": detection}})

    def do_raw(self, event: Any) -> None:
        self.world.raw(event)

    def do_prompt(self) -> None:
        session = {"type": "realtime", "prompt": {"id": "role:2"}}
        self.world.client("session.update", session=session, character=CHARACTER)

    def do_stale(self) -> None:
        """What comes of turns that are closed, and of replies that were stopped."""
        before = len(self.world.effects)
        for name, turn in list(self.world.turns.items()):
            if turn.closed:
                self.world.heard(name, Heard("spät", final=True))
            for run in range(1, 4):
                if turn.closed or turn.run != run:
                    self.world.replied(name, run, TextReady("spät"))
                    self.world.replied(name, run, AudioReady(bytes(480)))
                    self.world.replied(name, run, ReplyEnded("stop", 1, 1))
        assert len(self.world.effects) == before, "nobody listens to what is gone"

    def do_lost(self, number: int) -> None:
        self.world.store_failed(self.item(number))


@given(
    steps=st.lists(STEPS, min_size=8, max_size=60),
    scripts=st.lists(SCRIPTS, min_size=1, max_size=6),
    transcripts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6),
    detection=st.sampled_from(DETECTIONS[:-1]),
    streaming=st.booleans(),
    speculation=st.booleans(),
    kind=st.sampled_from(["realtime"] * 5 + ["transcription"]),
    lead=st.sampled_from([0.5, 2.0, 4.0]),
    asr_delay=st.sampled_from([0.0, 0.1, 1.0]),
    ends=st.sampled_from(["socket", "expiry", "closed", "rest"]),
    seed=st.integers(0, 2**16),
)
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@pytest.mark.timeout(300)
def test_the_invariants_hold_whatever_happens_and_whenever(
    steps: list[tuple[Any, ...]],
    scripts: list[Script],
    transcripts: list[str | None],
    detection: Any,
    streaming: bool,
    speculation: bool,
    kind: Any,
    lead: float,
    asr_delay: float,
    ends: str,
    seed: int,
) -> None:
    world = World(
        setup(
            kind=kind,
            streaming=streaming,
            speculation=speculation,
            lead_seconds=lead,
            session={"audio": {"input": {"turn_detection": detection, "transcription": {}}}},
        ),
        seed,
    )
    world.scripts = scripts
    world.transcripts = transcripts
    world.asr_delay = asr_delay
    play = Play(world)
    for step in steps:
        play.do(*step)
    finish(world, ends)


def finish(world: World, ends: str) -> None:
    """End the session one way or the other, and look whether everything is closed."""
    watcher = world.watcher
    assert [item.id for item in world.session._items] == watcher.order
    if ends == "rest":
        world.client("input_audio_buffer.clear")
        world.detect()
        world.wait(120)
        if not world.over:
            unfinished = [r for r in watcher.responses.values() if not r.status]
            assert not unfinished, "every response ends by itself"
            assert not watcher.open_turns
            assert not watcher.playing
        world.end()
    elif ends == "expiry":
        world.wait(1900)
        assert watcher.closed
        errors = [event["error"]["code"] for event in world.events("error")]
        assert errors[-1] == "session_expired"
    elif ends == "closed":
        world.close(1000, "session_idle", ProtocolError("session_idle", "Nobody is there."))
        assert watcher.closed
        assert world.kinds()[-1] == "error"
    else:
        world.end()
    watcher.check_end()
    compare_audio(world)
    before = len(world.effects)
    world.client("response.create")
    world.append(100)
    world.ear(SpeechStarted(0))
    world.end()
    world.wait(60)
    assert len(world.effects) == before, "nothing is wanted once it is over"


def compare_audio(world: World) -> None:
    """What was sent of a response is what the engine made of it, up to the cut."""
    for response in world.watcher.responses.values():
        if not response.audio:
            continue
        made = [audio for audio in world.made.values() if audio.startswith(response.audio)]
        assert made, "audio is neither lost nor mixed"
        if response.status == "completed":
            assert response.audio in made
