"""The end of a session, whoever makes it: nothing that was said is lost, no response is open."""

from collections.abc import Callable
from typing import Any

import pytest

from chat.engine.live_events import Heard
from realtime.effects import Close, Listen, StoreReply, StoreTranscript, StoreUtterance
from realtime.errors import ProtocolError
from tests.realtime.simulator import Script, World, setup
from voice.ear.events import Paused, SpeechStarted, SpeechStopped

IDLE = ProtocolError("session_idle", "Nothing came from the client for too long.")


def hang_up(world: World) -> None:
    world.end()


def expire(world: World) -> None:
    world.wait(60.0)
    assert world.watcher.closed


def stop_server(world: World) -> None:
    world.close(1001, "server is going away")


every_end = pytest.mark.parametrize("end", [hang_up, expire, stop_server])
End = Callable[[World], None]


def begun(detection: dict[str, Any] | None, **changes: Any) -> World:
    session = {"audio": {"input": {"turn_detection": detection, "transcription": {}}}}
    world = World(setup(session=session, max_seconds=60.0, speculation=False, **changes))
    world.asr_delay = 1_000.0  # nothing is understood in time
    return world


def by_ear(**changes: Any) -> World:
    return begun({"type": "server_vad"}, **changes)


# --- the user's words


@every_end
@pytest.mark.parametrize("streaming", [True, False])
def test_what_was_committed_and_not_understood_is_not_nothing(end: End, streaming: bool) -> None:
    world = begun(None, streaming=streaming)
    world.append(300)
    world.client("input_audio_buffer.commit")
    end(world)
    [stored] = world.done(StoreUtterance)
    assert len(stored.pcm) == pytest.approx(300 * 32, abs=64)
    assert not world.done(StoreTranscript), "an empty transcript makes it forgotten"
    world.watcher.check_end()


@every_end
def test_an_utterance_that_had_just_ended_is_not_nothing(end: End) -> None:
    world = by_ear()
    world.append(900)
    world.ear(SpeechStarted(0))
    world.ear(Paused(700))
    world.ear(SpeechStopped(900, 700))
    end(world)
    assert len(world.done(StoreUtterance)) == 1
    assert not world.done(StoreTranscript)


def test_of_an_item_that_is_understood_in_part_that_part_is_kept() -> None:
    world = begun(None)
    clip = {"type": "input_audio", "audio": "AAAA" * 1_600}
    content = [{"type": "input_text", "text": "听听这个"}, clip, clip]
    item = {"type": "message", "role": "user", "content": content}
    world.client("conversation.item.create", item=item)
    world.heard(world.done(Listen)[0].turn, Heard("今夜有东风", final=False))
    world.end()
    assert [each.text for each in world.done(StoreTranscript)] == ["听听这个\n今夜有东风"]


@every_end
@pytest.mark.parametrize("text", ["", "我想听一首"])
def test_who_is_cut_off_while_speaking_is_kept_with_what_was_said(end: End, text: str) -> None:
    world = by_ear()
    world.append(1_000)
    world.ear(SpeechStarted(100))
    if text:
        world.heard(world.done(Listen)[0].turn, Heard(text, final=False))
    world.append(400)
    end(world)
    [stored] = world.done(StoreUtterance)
    started = world.last("input_audio_buffer.speech_started")
    assert (stored.item_id, stored.text) == (started["item_id"], text)
    assert len(stored.pcm) == pytest.approx(1_300 * 32, abs=128)
    world.watcher.check_end()


def test_the_reply_that_was_interrupted_stands_before_who_interrupts_it() -> None:
    world = begun({"type": "server_vad", "interrupt_response": False})
    world.client("response.create")
    world.wait(1.5)
    world.append(1_000)
    world.ear(SpeechStarted(0))
    world.end()
    kinds = [type(each) for each in world.effects if isinstance(each, StoreReply | StoreUtterance)]
    assert kinds == [StoreReply, StoreUtterance]


def test_the_click_of_hanging_up_is_not_kept_unless_it_says_something() -> None:
    for text, count in (("", 0), ("喂", 1)):
        world = by_ear()
        world.append(1_000)
        world.ear(SpeechStarted(500))  # 300 ms of that are the silence before the onset
        if text:
            world.heard(world.done(Listen)[0].turn, Heard(text, final=False))
        world.end()
        assert len(world.done(StoreUtterance)) == count


def test_our_own_echo_is_nobody_who_is_cut_off() -> None:
    world = by_ear()
    world.scripts = [Script(("今天的天气真是好得很啊。", "我们去西湖边走走吧。"))]
    world.client("response.create")
    world.wait(1.0)
    world.append(1_000)
    world.ear(SpeechStarted(0))
    world.heard(world.done(Listen)[0].turn, Heard("今天的天气真是好得很", final=False))
    world.end()
    assert not world.done(StoreUtterance)


def test_what_the_client_takes_back_is_not_kept() -> None:
    world = by_ear()
    world.append(1_000)
    world.ear(SpeechStarted(0))
    world.client("input_audio_buffer.clear")
    world.end()
    assert not world.done(StoreUtterance)


def test_what_was_appended_by_hand_and_never_committed_is_not_kept() -> None:
    world = begun(None, streaming=True)
    world.append(1_000)
    world.end()
    assert not world.done(StoreUtterance)
    world.watcher.check_end()


def test_a_session_that_only_listens_keeps_nothing_of_who_is_cut_off() -> None:
    world = by_ear(kind="transcription")
    world.append(1_000)
    world.ear(SpeechStarted(0))
    world.end()
    assert not world.done(StoreUtterance)
    world.watcher.check_end()


# --- the character's


@pytest.mark.parametrize("error", [None, IDLE])
def test_a_session_that_the_server_ends_closes_all_that_is_open(
    error: ProtocolError | None,
) -> None:
    world = World()
    world.scripts = [Script(seconds=5.0)]
    world.say("在吗")
    world.client("response.create", response={"conversation": "none"})
    world.wait(1)
    before = len(world.sent)
    world.close(1000, "for a reason", error)
    told = world.kinds(before)
    assert told.count("response.done") == 2
    assert {each["response"]["status"] for each in world.events("response.done")} == {"cancelled"}
    assert told[-1] == ("error" if error else "response.done")
    if error:
        assert world.last("error")["error"]["code"] == "session_idle"
        assert world.last("error")["error"]["event_id"] is None
    assert world.done(Close) == [Close(1000, "for a reason")]
    world.watcher.check_end()
    before = len(world.effects)
    world.close(1001, "again")
    world.end()
    assert len(world.effects) == before
