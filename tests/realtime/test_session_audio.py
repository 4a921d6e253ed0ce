"""When audio is sent, and whether the ear knows that it is heard."""

import base64

from chat.engine.live_events import AudioReady, ReplyEnded, SentenceReady, TextReady
from realtime.effects import Playing, Respond, SetTimer
from tests.realtime.simulator import Script, World, setup
from tests.realtime.test_session_turns import listening

SECOND = bytes(48_000)


def by_hand(world: World, response: dict[str, object] | None = None) -> tuple[str, int]:
    """A response whose events the test makes itself; gives its turn and run."""
    world.scripts = [Script((), delay=1_000.0)]
    world.client("response.create", response=response or {})
    asked = world.done(Respond)[-1]
    return asked.turn, asked.run


def leads(world: World) -> list[float]:
    """What a listener still had (seconds) whenever more came."""
    ends, ahead = 0.0, []
    for at, event in world.sent:
        if event["type"] == "response.output_audio.delta":
            ahead.append(ends - at)
            ends = max(at, ends) + len(base64.b64decode(event["delta"])) / 48_000
    return ahead


def test_audio_goes_on_early_though_a_remainder_was_waiting_for_more() -> None:
    world = World(setup(lead_seconds=4.0))
    turn, run = by_hand(world)
    for event in (TextReady("长。"), SentenceReady("长。"), AudioReady(SECOND * 4 + bytes(960))):
        world.replied(turn, run, event)
    sent = len(world.events("response.output_audio.delta"))
    world.wait(0.02)
    world.replied(turn, run, AudioReady(SECOND * 8))
    world.replied(turn, run, ReplyEnded("stop", 1, 1))
    world.wait(20)
    assert min(leads(world)[sent:]) > 3.0
    assert world.last("response.done")["response"]["status"] == "completed"


def test_what_waits_at_the_full_lead_sets_no_timer_for_each_piece() -> None:
    world = World(setup(lead_seconds=4.0))
    turn, run = by_hand(world)
    world.replied(turn, run, SentenceReady("长。"))
    world.replied(turn, run, AudioReady(SECOND * 10))
    before = len(world.done(SetTimer))
    for _ in range(500):
        world.replied(turn, run, AudioReady(bytes(960)))
        world.wait(0.0001)
    assert len(world.done(SetTimer)) - before <= 1


def test_the_ear_knows_of_what_is_said_out_of_band() -> None:
    world = listening()
    world.client("response.create", response={"conversation": "none"})
    world.wait(1.0)
    assert world.done(Playing) == [Playing(True)]
    world.wait(5.0)
    assert world.done(Playing) == [Playing(True), Playing(False)]


def test_what_is_said_out_of_band_is_heard_though_the_conversation_is_cut_off() -> None:
    world = listening()
    world.scripts = [Script(("一。",), seconds=3.0, delay=0.01)]
    world.client("response.create", response={"conversation": "none"})
    world.client("response.create")
    world.wait(1.0)
    world.client("response.cancel")
    assert world.watcher.playing
    world.wait(1.9)
    assert world.watcher.playing
    world.wait(0.3)
    assert not world.watcher.playing


def test_what_is_cancelled_out_of_band_is_not_heard_any_more() -> None:
    world = listening()
    world.scripts = [Script(("一。",), seconds=9.0, delay=0.01)]
    world.client("response.create", response={"conversation": "none"})
    response_id = world.last("response.created")["response"]["id"]
    world.wait(0.5)
    assert world.watcher.playing
    world.client("response.cancel", response_id=response_id)
    assert world.done(Playing) == [Playing(True), Playing(False)]
