"""``idle_timeout_ms``: the character speaks up after a silence, and after nothing else."""

from typing import Any

import pytest

from tests.realtime.simulator import Script, World
from tests.realtime.test_session_turns import listening, speak, talk_back
from voice.ear.events import SpeechStarted

PATIENT = {"type": "server_vad", "idle_timeout_ms": 5_000}
TRIGGERED = "input_audio_buffer.timeout_triggered"


def answered(**changes: Any) -> World:
    """A reply was heard to its end; the user is expected to speak."""
    world = listening(turn_detection={**PATIENT, **changes})
    world.client("response.create")
    world.wait(4)
    assert not world.watcher.playing
    return world


def test_a_noise_does_not_turn_it_off() -> None:
    world = answered()
    speak(world, "")
    world.wait(4.9)
    assert not world.events(TRIGGERED)
    world.wait(0.3)
    assert world.events(TRIGGERED)
    assert len(world.events("response.created")) == 2


def test_nor_does_a_noise_that_is_the_clients_to_answer() -> None:
    world = answered(create_response=False)
    speak(world, "")
    world.wait(5.2)
    assert len(world.events(TRIGGERED)) == 1


@pytest.mark.parametrize("how", ["clear", "off and on"])
def test_nor_does_speech_that_is_taken_back(how: str) -> None:
    world = answered()
    world.append(500)
    world.ear(SpeechStarted(0))
    if how == "clear":
        world.client("input_audio_buffer.clear")
    else:
        world.detect()
        world.detect(**PATIENT)
    world.wait(5.2)
    assert len(world.events(TRIGGERED)) == 1


def test_a_clear_where_nobody_speaks_changes_nothing() -> None:
    world = answered()
    world.wait(0.5)
    for _ in range(4):
        world.client("input_audio_buffer.clear")
        world.wait(1)
    assert len(world.events(TRIGGERED)) == 1


def test_a_noise_in_a_reply_that_goes_on_leaves_it_until_that_is_heard() -> None:
    world = listening(turn_detection=PATIENT)
    talk_back(world)
    speak(world, "嗯")
    world.wait(5.8)
    assert len(world.events("response.done")) == 2
    assert not world.events(TRIGGERED)
    world.wait(1)
    assert world.events(TRIGGERED)


def test_a_call_that_nobody_has_begun_is_not_begun_by_it() -> None:
    by_default = listening(turn_detection=PATIENT)
    by_update = listening()
    by_update.detect(**PATIENT)
    for world in (by_default, by_update):
        world.wait(20)
        speak(world, "")
        world.wait(20)
        assert not world.events(TRIGGERED)


def test_it_holds_from_its_setting_on_where_the_character_has_spoken() -> None:
    world = listening()
    talk_back(world)
    world.wait(10)
    world.detect(**PATIENT)
    world.wait(5.2)
    assert world.events(TRIGGERED)


def test_what_is_made_out_of_band_does_not_turn_it_off() -> None:
    world = answered()
    world.scripts = [Script(("一。",), delay=0.01)]
    response = {"conversation": "none", "output_modalities": ["text"]}
    world.client("response.create", response=response)
    world.wait(5.2)
    assert len(world.events(TRIGGERED)) == 1
