"""What is compared with our own voice is compared once."""

import sys
from types import FrameType

import pytest

from realtime.overlap import Overlap
from realtime.spoken import Spoken
from realtime.utterance import Utterance
from tests.realtime.simulator import Script, World, setup
from voice.ear.echo import is_echo
from voice.ear.events import SpeechStarted, SpeechStopped


class Comparisons:
    """Counts the calls of ``is_echo`` while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Comparisons":
        sys.setprofile(self._see)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _argument: object) -> None:
        self.count += event == "call" and frame.f_code is is_echo.__code__


def speak(world: World, text: str) -> None:
    world.transcripts = [text]
    world.append(400)
    world.ear(SpeechStarted(int(world.fed_ms) - 400))
    world.append(100)
    world.ear(SpeechStopped(int(world.fed_ms), int(world.fed_ms) - 100))


@pytest.mark.parametrize("words", ["亮观天象，今夜必有东风", "我想问你一件别的事情"])
def test_a_final_transcript_is_compared_once(words: str) -> None:
    transcribing = {"audio": {"input": {"transcription": {}}}}
    world = World(setup(session=transcribing, speculation=False))
    world.scripts = [Script(("亮观天象，今夜必有东风。", "丞相可以早做准备。"), seconds=2.0)]
    speak(world, "你好吗")
    world.wait(2.0)
    speak(world, words)
    with Comparisons() as comparisons:
        world.wait(0.15)
    assert world.last("conversation.item.input_audio_transcription.completed")
    assert comparisons.count == 1


def test_other_words_and_what_is_said_meanwhile_are_compared_anew() -> None:
    heard = [1000.0]
    voice = Spoken()
    for sentence in ("丞相可以早做准备。", "诸将都在帐外等候。"):
        voice.begin(sentence)
        voice.sound(1000)
    utterance = Utterance("item_1", beneath=Overlap(voice, 0.0, lambda: heard[0]))
    utterance.text = "我想问你一件别的事情"
    with Comparisons() as comparisons:
        assert not utterance.is_echo
        assert not utterance.is_echo
        utterance.text = "诸将都在帐外等候吧"
        assert utterance.is_echo
        heard[0] = 1500.0
        assert utterance.is_echo
    assert comparisons.count == 2
    assert not Utterance("item_2", text="丞相可以早做准备").is_echo
