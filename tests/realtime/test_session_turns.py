"""Taking turns by ear: §3.3, §3.4, false interruptions, speculation, silence, playback."""

import base64
from typing import Any

import pytest

from chat.engine.live_events import Heard, HearingFailed
from realtime.effects import (
    Detect,
    Feed,
    FinishUtterance,
    Hear,
    Listen,
    NoteTranscript,
    Peek,
    Playing,
    Release,
    ResetEar,
    Respond,
    Stop,
    StoreReply,
    StoreTranscript,
    StoreUtterance,
)
from realtime.utterances import MOST_WAITING
from tests.realtime.simulator import Script, World, setup
from voice.ear.events import Paused, Resumed, SpeechStarted, SpeechStopped, TurnDetection

CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]
WHOLE = "你好。今天天气真好。"


def listening(*, turn_detection: dict[str, Any] | None = None, **changes: Any) -> World:
    detection = turn_detection or {"type": "server_vad"}
    session = {"audio": {"input": {"turn_detection": detection, "transcription": {}}}}
    return World(setup(session=session, **{"speculation": False, **changes}))


def speak(world: World, text: str | None = "你好吗", *, milliseconds: int = 400) -> None:
    """An utterance from beginning to end; what follows takes its time."""
    world.transcripts = [text]
    world.append(milliseconds)
    world.ear(SpeechStarted(int(world.fed_ms) - milliseconds))
    world.append(100)
    world.ear(Paused(int(world.fed_ms)))
    world.ear(SpeechStopped(int(world.fed_ms), int(world.fed_ms) - 100))


def talk_back(world: World) -> str:
    """Have the character speak for two seconds, all of it sent; gives its item."""
    speak(world)
    world.wait(1.5)
    assert world.last("response.done")["response"]["status"] == "completed"
    return world.last("response.done")["response"]["output"][0]["id"]


def statuses(world: World) -> list[str]:
    return [event["response"]["status"] for event in world.events("response.done")]


# --- §3.3


def test_an_utterance_is_heard_committed_understood_and_answered() -> None:
    world = listening()
    world.append(500)
    world.ear(SpeechStarted(100))
    world.append(300)
    world.ear(SpeechStopped(700, 500))
    world.wait(8)
    kinds = world.kinds(1)
    assert kinds[:9] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "rate_limits.updated",
    ]
    item_id = world.last("input_audio_buffer.speech_started")["item_id"]
    assert world.last("input_audio_buffer.speech_started")["audio_start_ms"] == 100
    assert world.last("input_audio_buffer.speech_stopped")["audio_end_ms"] == 700
    assert world.last("input_audio_buffer.committed")["item_id"] == item_id
    [stored] = world.done(StoreUtterance)
    assert (stored.item_id, len(stored.pcm)) == (item_id, 600 * 32)
    assert world.done(StoreTranscript) == [StoreTranscript(item_id, "你好吗")]
    assert statuses(world) == ["completed"]
    assert len(world.done(Feed)) == 2


def test_the_utterance_is_heard_from_its_onset_in_one_turn_that_also_answers() -> None:
    world = listening()
    world.append(500)
    assert not world.done(Listen)
    world.ear(SpeechStarted(100))
    world.append(300)
    [listen] = world.done(Listen)
    assert listen.language == "zh"
    heard = b"".join(effect.pcm for effect in world.done(Hear))
    assert len(heard) == pytest.approx(700 * 32, abs=320)
    world.ear(SpeechStopped(700, 500))
    assert [effect.turn for effect in world.done(FinishUtterance)] == [listen.turn]
    world.wait(8)
    assert [effect.turn for effect in world.done(Respond)] == [listen.turn]
    assert [effect.turn for effect in world.done(Release)] == [listen.turn]


def test_nothing_that_was_said_is_nothing_that_is_answered() -> None:
    world = listening()
    speak(world, "")
    world.wait(3)
    completed = world.last("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == ""
    assert not world.events("response.created")
    assert world.done(StoreTranscript)[0].text == ""
    assert not world.watcher.open_turns


def test_an_utterance_that_cannot_be_recognised_fails_its_response() -> None:
    world = listening()
    speak(world, None)
    world.wait(3)
    assert world.events("conversation.item.input_audio_transcription.failed")
    assert statuses(world) == ["failed"]
    speak(world)
    world.wait(8)
    assert statuses(world) == ["failed", "completed"]


def test_a_question_is_answered_though_the_next_one_could_not_be_heard_to_its_end() -> None:
    world = listening()
    world.asr_delay = 0.5
    speak(world)
    world.wait(0.3)
    world.append(400)
    world.ear(SpeechStarted(int(world.fed_ms) - 400))
    world.wait(0.4)
    deaf = world.done(Listen)[-1].turn
    world.heard(deaf, HearingFailed("asr", "insufficient_quota"))
    world.append(100)
    world.ear(SpeechStopped(int(world.fed_ms), int(world.fed_ms)))
    assert world.done(Respond)[-1].turn != deaf  # nobody is there any more
    world.wait(8)
    assert statuses(world) == ["completed"]
    assert not world.watcher.open_turns


def test_nothing_is_begun_in_a_pause_of_what_cannot_be_heard() -> None:
    world = streaming()
    world.append(400)
    world.ear(SpeechStarted(0))
    turn = world.done(Listen)[-1].turn
    world.heard(turn, Heard("你好吗", final=False))
    world.heard(turn, HearingFailed("asr", "lost"))
    world.append(100)
    world.ear(Paused(500))
    assert not world.done(Respond)
    world.ear(SpeechStopped(500, 400))
    assert statuses(world) == ["failed"]


def test_a_client_that_answers_by_itself_gets_the_events_alone() -> None:
    world = listening(
        turn_detection={
            "type": "server_vad",
            "create_response": False,
            "interrupt_response": False,
        }
    )
    speak(world)
    world.wait(3)
    assert not world.events("response.created")
    world.client("response.create")
    world.wait(0.5)
    speak(world)
    world.wait(5)
    assert statuses(world) == ["completed"]
    assert not world.events("error")


def test_speech_that_must_not_interrupt_is_kept_and_not_answered() -> None:
    world = listening(turn_detection={"type": "server_vad", "interrupt_response": False})
    world.scripts = [Script(seconds=5)]
    speak(world)
    world.wait(0.5)
    speak(world, "等一下")
    world.wait(20)
    assert statuses(world) == ["completed"]
    assert not world.events("error")
    speak(world, "现在呢")
    said = [message.content for message in world.plans[-1].messages]
    world.wait(1)
    said = [message.content for message in world.plans[-1].messages]
    assert said == ["你好吗", WHOLE, "等一下", "现在呢"]


def test_the_client_may_end_the_utterance_and_then_decides_what_follows() -> None:
    world = listening()
    world.append(500)
    world.ear(SpeechStarted(100))
    before = len(world.sent)
    world.client("input_audio_buffer.commit")
    assert world.kinds(before)[:1] == ["input_audio_buffer.committed"]
    started = world.last("input_audio_buffer.speech_started")
    assert world.last("input_audio_buffer.committed")["item_id"] == started["item_id"]
    assert world.done(ResetEar)
    assert world.ear(SpeechStopped(600, 500)) == []
    world.wait(3)
    assert not world.events("response.created")
    world.client("response.create")
    assert world.plans[-1].messages[-1].content == "你好吗"


def test_a_cleared_utterance_is_forgotten() -> None:
    world = listening()
    world.append(500)
    world.ear(SpeechStarted(100))
    assert world.client("input_audio_buffer.clear")[-1]["type"] == "input_audio_buffer.cleared"
    assert world.done(ResetEar)
    assert not world.watcher.open_turns
    world.ear(SpeechStopped(500, 400))
    world.wait(2)
    assert not world.events("input_audio_buffer.committed")


def test_what_is_said_in_two_breaths_is_answered_once() -> None:
    world = listening()
    world.asr_delay = 1.0
    speak(world, "我想")
    world.wait(0.3)
    speak(world, "听一首诗")
    world.transcripts = ["我想", "听一首诗"]
    world.wait(8)
    assert statuses(world) == ["completed"]
    assert [message.content for message in world.plans[0].messages] == ["我想", "听一首诗"]


def test_a_noise_after_a_question_does_not_make_it_forgotten() -> None:
    world = listening()
    world.asr_delay = 1.0
    speak(world)
    world.wait(0.3)
    speak(world)
    world.transcripts = ["你好吗", ""]
    world.wait(8)
    assert statuses(world) == ["completed"]
    assert [message.content for message in world.plans[0].messages] == ["你好吗"]


def test_an_utterance_cut_for_its_length_is_answered_with_what_follows_it() -> None:
    world = listening()
    world.append(1000)
    world.ear(SpeechStarted(0))
    world.ear(SpeechStopped(900, 900, cut=True))
    world.wait(0.3)
    speak(world, "后半")
    world.wait(8)
    assert [message.content for message in world.plans[0].messages] == ["你好吗", "后半"]
    assert statuses(world) == ["completed"]


def test_an_utterance_cut_for_its_length_is_answered_if_nothing_follows() -> None:
    world = listening()
    world.append(1000)
    world.ear(SpeechStarted(0))
    world.ear(SpeechStopped(900, 900, cut=True))
    world.wait(0.8)
    assert not world.done(Respond)
    world.wait(0.4)
    assert len(world.done(Respond)) == 1


def test_times_hold_when_the_ear_was_off_for_a_while() -> None:
    world = listening()
    world.append(1000)
    world.detect()
    world.append(2000)
    world.client("input_audio_buffer.clear")
    world.detect(type="server_vad", silence_duration_ms=300)
    assert world.done(Detect)[-1].detection == TurnDetection(silence_ms=300)
    world.append(500)
    world.ear(SpeechStarted(1200))  # the ear has heard one second before
    assert world.last("input_audio_buffer.speech_started")["audio_start_ms"] == pytest.approx(
        3200, abs=10
    )


# --- §3.4


def test_barge_in_tells_the_onset_first_and_closes_what_is_open() -> None:
    world = listening()
    world.scripts = [Script(seconds=5)]
    speak(world)
    world.wait(2.0)
    before, effects = len(world.sent), len(world.effects)
    world.append(100)
    world.ear(SpeechStarted(int(world.fed_ms) - 100))
    assert world.kinds(before) == ["input_audio_buffer.speech_started", *CLOSING]
    done = world.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    kinds = [type(effect) for effect in world.effects[effects:]]
    assert kinds.index(Stop) < kinds.index(Listen)
    assert Playing(False) in world.effects[effects:]
    before = len(world.sent)
    world.wait(5)
    assert len(world.sent) == before


def test_what_was_heard_of_a_reply_stays_by_our_clock_and_then_by_the_clients() -> None:
    world = listening()
    item_id = talk_back(world)
    speak(world, "什么天气？")
    assert world.done(StoreReply)[-1] == StoreReply(item_id, "你好。", WHOLE)
    assert statuses(world) == ["completed"]
    world.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=2100)
    assert world.done(StoreReply)[-1].text == WHOLE
    world.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=999)
    assert world.done(StoreReply)[-1] == StoreReply(item_id, "", WHOLE)
    world.wait(1)
    assert [message.content for message in world.plans[-1].messages] == ["你好吗", "什么天气？"]


def test_a_reply_that_waits_is_interrupted_too() -> None:
    world = listening()
    world.scripts = [Script(delay=2.0), Script()]
    speak(world)
    world.wait(1)
    speak(world, "算了")
    world.wait(8)
    assert statuses(world) == ["cancelled", "completed"]
    assert [message.content for message in world.plans[1].messages] == ["你好吗", "算了"]


def test_what_the_user_says_counts_more_than_a_response_made_meanwhile() -> None:
    world = listening()
    world.transcripts = ["等等，我还没说完"]
    world.append(400)
    world.ear(SpeechStarted(0))
    world.client("response.create")
    world.wait(0.2)
    world.append(100)
    world.ear(Paused(400))
    world.ear(SpeechStopped(500, 400))
    world.wait(5)
    assert statuses(world) == ["cancelled", "completed"]
    assert world.plans[-1].messages[-1].content == "等等，我还没说完"


def test_an_out_of_band_response_is_not_interrupted() -> None:
    world = listening()
    world.client("response.create", response={"conversation": "none"})
    world.wait(0.3)
    speak(world, "")
    world.wait(5)
    assert statuses(world) == ["completed"]


# --- false interruptions


@pytest.mark.parametrize("noise", ["", "嗯", "对对", "uh-huh"])
def test_a_reply_goes_on_where_a_noise_has_cut_it_off(noise: str) -> None:
    world = listening()
    item_id = talk_back(world)
    speak(world, noise)
    world.wait(5)
    plan = world.plans[-1]
    assert (plan.preface, plan.write) == ("今天天气真好。", False)
    assert statuses(world) == ["completed", "completed"]
    rest = world.last("response.done")["response"]["output"][0]
    assert rest["content"][0]["transcript"] == "今天天气真好。"
    assert world.done(StoreReply)[-2:] == [
        StoreReply(item_id, "你好。", WHOLE),
        StoreReply(rest["id"], "今天天气真好。"),
    ]


def test_a_model_that_had_not_finished_goes_on_writing_behind_what_is_left() -> None:
    world = listening()
    world.scripts = [Script(("一。", "二。", "三。"), delay=0.2), Script(("四。",))]
    speak(world)
    world.wait(2.0)
    speak(world, "嗯")
    world.wait(8)
    plan = world.plans[-1]
    assert plan.write
    assert plan.messages[-1].role == "assistant"
    said = plan.messages[-1].content
    assert said.startswith("一。")
    assert said.endswith(plan.preface)
    assert [message.content for message in plan.messages[:-1]] == ["你好吗"]
    assert statuses(world) == ["cancelled", "completed"]
    assert world.done(StoreReply)[-1].text == plan.preface + "四。"


def test_a_model_that_had_finished_is_not_asked_again_though_its_voice_still_speaks() -> None:
    world = listening()
    world.scripts = [Script(("一。", "二。", "三。"), delay=0.2, quick=True)]
    speak(world)
    world.wait(2.0)
    speak(world, "嗯")
    world.wait(8)
    plan = world.plans[-1]
    assert not plan.write
    assert plan.preface.endswith("三。")
    assert statuses(world) == ["cancelled", "completed"]


def test_a_reply_that_goes_on_may_be_cut_off_again() -> None:
    world = listening()
    world.scripts = [Script(("一。", "二。", "三。", "四。"), delay=0.02)]
    speak(world)
    world.wait(1.5)
    speak(world, "嗯")
    world.wait(0.3)
    speak(world, "嗯")
    world.wait(8)
    assert [plan.preface for plan in world.plans] == ["", "二。三。四。", "二。三。四。"]
    assert [plan.write for plan in world.plans] == [True, False, False]
    assert statuses(world)[-1] == "completed"


def test_yes_is_an_answer_where_nothing_is_left_to_say() -> None:
    world = listening()
    talk_back(world)
    world.wait(3)
    speak(world, "对")
    world.wait(5)
    assert world.plans[-1].write
    assert world.plans[-1].messages[-1].content == "对"


def test_words_are_no_false_interruption() -> None:
    world = listening()
    talk_back(world)
    speak(world, "好的我知道了你先停")
    world.wait(5)
    assert world.plans[-1].messages[-1].content == "好的我知道了你先停"


def test_our_own_echo_is_neither_answered_nor_kept() -> None:
    world = listening()
    world.scripts = [Script(("今天的天气真是好得很啊。", "我们去西湖边走走吧。"))]
    speak(world)
    world.wait(1.0)
    speak(world, "今天的天气真是好得很")
    world.wait(8)
    assert not world.plans[-1].write
    assert world.done(StoreTranscript)[-1].text == ""
    completed = world.last("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == ""


PROPHECY = Script(
    ("亮观天象，今夜必有东风。", "丞相可以早做准备。", "诸将都在帐外等候。", "请上坛去看一看。"),
    seconds=2.0,
)


@pytest.mark.parametrize("words", ["今夜会有东风吗？", "今夜必有东风？", "今夜有没有东风？"])
def test_a_question_in_our_own_words_is_answered(words: str) -> None:
    world = listening()
    world.scripts = [PROPHECY]
    speak(world)
    world.wait(1.5)
    speak(world, words)
    world.wait(8)
    assert world.plans[-1].messages[-1].content == words


@pytest.mark.parametrize("words", ["今夜必有东风。", "请上坛去看一看。"])
def test_words_that_we_said_long_before_or_not_yet_are_no_echo(words: str) -> None:
    world = listening()
    world.scripts = [PROPHECY]
    speak(world)
    world.wait(5.6)
    speak(world, words)
    world.wait(8)
    assert world.plans[-1].messages[-1].content == words


def test_what_we_go_on_to_say_over_an_utterance_is_its_echo() -> None:
    world = listening(turn_detection={"type": "server_vad", "interrupt_response": False})
    world.scripts = [PROPHECY]
    speak(world)
    world.wait(0.5)
    world.append(400)
    world.ear(SpeechStarted(int(world.fed_ms) - 400))
    world.wait(4.5)
    world.transcripts = ["丞相可以早做准备，诸将都在"]
    world.append(100)
    world.ear(SpeechStopped(int(world.fed_ms), int(world.fed_ms) - 100))
    world.wait(8)
    assert world.done(StoreTranscript)[-1].text == ""
    assert len(world.plans) == 1


def test_where_the_client_answers_nothing_goes_on_by_itself() -> None:
    world = listening(turn_detection={"type": "server_vad", "create_response": False})
    world.client("response.create")
    world.wait(1)
    speak(world, "嗯")
    world.wait(5)
    assert len(world.plans) == 1


# --- speculation


def streaming() -> World:
    return listening(streaming=True, speculation=True)


def pause_after(world: World, text: str) -> str:
    """Speak and halt; the recogniser has understood so far. Gives the turn."""
    world.append(400)
    world.ear(SpeechStarted(int(world.fed_ms) - 400))
    turn = world.done(Listen)[-1].turn
    world.heard(turn, Heard(text, final=False))
    world.append(100)
    world.ear(Paused(int(world.fed_ms)))
    return turn


def test_an_answer_begun_in_a_pause_is_held_back_and_then_told_at_once() -> None:
    world = streaming()
    turn = pause_after(world, "你好吗")
    assert [effect.turn for effect in world.done(Respond)] == [turn]
    world.wait(1)
    assert not world.events("response.created")
    world.transcripts = ["你好吗？"]
    world.ear(SpeechStopped(500, 400))
    assert not world.events("response.created")
    world.wait(0.11)
    assert world.events("response.output_audio.delta")
    world.wait(5)
    assert len(world.done(Respond)) == 1
    assert statuses(world) == ["completed"]
    assert NoteTranscript("你好吗") in world.effects
    assert not world.watcher.open_turns


def test_an_answer_begun_in_a_pause_is_void_when_speech_goes_on() -> None:
    world = streaming()
    turn = pause_after(world, "你好吗")
    world.wait(0.3)
    world.ear(Resumed())
    assert [effect.turn for effect in world.done(Stop)] == [turn]
    world.transcripts = ["你好吗苏轼"]
    world.ear(SpeechStopped(600, 550))
    world.wait(5)
    assert [effect.turn for effect in world.done(Respond)] == [turn, turn]
    assert [plan.messages[-1].content for plan in world.plans] == ["你好吗", "你好吗苏轼"]
    assert statuses(world) == ["completed"]
    # Nobody asked for the first: it is none of the user's requests.
    assert [effect.speculative for effect in world.done(Respond)] == [True, False]


def test_an_answer_to_other_words_is_made_anew() -> None:
    world = streaming()
    pause_after(world, "你好")
    turn = world.done(Listen)[-1].turn
    world.heard(turn, Heard("你好吗", final=False))
    world.transcripts = ["你好吗苏轼"]
    world.ear(SpeechStopped(500, 400))
    world.wait(5)
    assert [plan.messages[-1].content for plan in world.plans] == ["你好", "你好吗", "你好吗苏轼"]
    assert statuses(world) == ["completed"]


def test_an_answer_begun_before_the_settings_changed_is_made_anew() -> None:
    world = streaming()
    pause_after(world, "你好吗")
    world.update(instructions="押韵")
    world.ear(SpeechStopped(500, 400))
    world.wait(5)
    assert [plan.instructions for plan in world.plans] == ["", "押韵"]
    assert statuses(world) == ["completed"]


def test_an_answer_that_failed_before_it_was_wanted_is_tried_again() -> None:
    world = streaming()
    world.scripts = [Script(fails_after=0), Script()]
    pause_after(world, "你好吗")
    world.wait(0.5)
    world.ear(SpeechStopped(500, 400))
    world.wait(5)
    assert len(world.plans) == 2
    assert statuses(world) == ["completed"]


def test_a_user_who_halts_after_every_word_does_not_cost_a_prompt_each() -> None:
    world = streaming()
    turn = pause_after(world, "一")
    for text in ("一二", "一二三", "一二三四", "一二三四五"):
        world.ear(Resumed())
        world.heard(turn, Heard(text, final=False))
        world.ear(Paused(500))
    assert len(world.done(Respond)) == 3
    world.transcripts = ["一二三四五"]
    world.ear(SpeechStopped(500, 400))
    world.wait(5)
    assert statuses(world) == ["completed"]


def test_semantic_detection_peeks_in_a_pause_and_takes_its_text_for_the_final_one() -> None:
    world = listening(turn_detection={"type": "semantic_vad"}, speculation=True)
    world.append(400)
    world.ear(SpeechStarted(0))
    world.ear(Paused(400))
    assert len(world.done(Peek)) == 1
    world.wait(0.2)
    assert NoteTranscript("你好吗") in world.effects
    assert len(world.done(Respond)) == 1
    world.ear(SpeechStopped(500, 400))
    assert world.done(FinishUtterance)[-1].silent
    world.wait(5)
    assert statuses(world) == ["completed"]
    assert len(world.done(Respond)) == 1


def test_what_was_peeked_at_is_not_final_when_speech_went_on() -> None:
    world = listening(turn_detection={"type": "semantic_vad"})
    world.append(400)
    world.ear(SpeechStarted(0))
    world.ear(Paused(400))
    world.ear(Resumed())
    world.ear(SpeechStopped(500, 400))
    assert not world.done(FinishUtterance)[-1].silent


# --- silence


def test_a_long_silence_after_a_reply_makes_the_character_speak_up() -> None:
    world = listening(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
    talk_back(world)
    world.append(5000)
    world.wait(5.4)
    assert not world.events("input_audio_buffer.timeout_triggered")
    world.wait(1)
    triggered = world.last("input_audio_buffer.timeout_triggered")
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == 5000
    assert world.last("input_audio_buffer.committed")["item_id"] == triggered["item_id"]
    assert len(world.done(StoreUtterance)) == 1
    assert world.plans[-1].messages[-1].role == "system"
    assert len(world.events("response.created")) == 2


def test_who_speaks_in_time_is_not_spoken_to() -> None:
    world = listening(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
    talk_back(world)
    world.wait(4)
    world.append(100)
    world.ear(SpeechStarted(int(world.fed_ms)))
    world.wait(20)
    assert not world.events("input_audio_buffer.timeout_triggered")


# --- audio that comes faster than it is spoken


@pytest.mark.parametrize("streaming", [True, False])
def test_an_utterance_in_the_midst_of_a_recording_is_heard_without_what_follows(
    streaming: bool,
) -> None:
    world = listening(streaming=streaming)
    world.transcripts = ["你好吗"]
    world.append(6_000)
    world.ear(SpeechStarted(500))
    world.ear(Paused(1_500))
    world.ear(SpeechStopped(2_000, 1_500))
    stored = world.done(StoreUtterance)[0].pcm
    assert len(stored) == 1_500 * 32
    turn = world.done(FinishUtterance)[0].turn
    assert bytes(world.turns[turn].heard) == stored
    assert [effect.turn for effect in world.done(Release)] == [world.done(Listen)[0].turn]
    world.wait(1)
    completed = world.last("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "你好吗"
    assert world.done(Respond)


def test_who_speaks_while_too_much_waits_to_be_understood_is_not_heard() -> None:
    world = listening(turn_detection={"type": "server_vad", "create_response": False})
    world.asr_delay = 60
    for _ in range(MOST_WAITING + 2):
        speak(world)
    assert len(world.done(Listen)) == MOST_WAITING
    assert len(world.events("input_audio_buffer.committed")) == MOST_WAITING
    world.wait(61)
    speak(world)
    assert len(world.done(Listen)) == MOST_WAITING + 1


# --- playback


def test_audio_is_sent_no_further_ahead_than_the_lead() -> None:
    world = World(setup(lead_seconds=2.0))
    world.scripts = [Script(("一。", "二。"), seconds=10.0, delay=0.0)]
    world.say("在吗")
    begun = world.now
    world.wait(0.1)
    deltas = world.events("response.output_audio.delta")
    lengths = [len(base64.b64decode(event["delta"])) / 48_000 for event in deltas]
    assert lengths[0] == 0.04
    assert max(lengths) == 0.1
    assert 1.8 < sum(lengths) < 2.001
    world.wait(30)
    assert statuses(world) == ["completed"]
    done = next(time for time, event in world.sent if event["type"] == "response.done")
    assert done - begun == pytest.approx(18, abs=0.5)
    second = [t for t, e in world.sent if e["type"].endswith("transcript.delta")][1]
    assert second - begun == pytest.approx(8.1, abs=0.5)


def test_the_ear_is_told_how_long_we_are_heard() -> None:
    world = listening()
    talk_back(world)
    assert world.done(Playing) == [Playing(True)]
    heard = [time for time, event in world.sent if event["type"] == "response.output_audio.delta"]
    world.wait(heard[0] + 1.99 - world.now)
    assert world.done(Playing) == [Playing(True)]
    world.wait(0.05)
    assert world.done(Playing) == [Playing(True), Playing(False)]


def test_a_slow_voice_is_heard_as_late_as_it_comes() -> None:
    world = listening()
    world.scripts = [Script(("一。", "二。"), seconds=0.2, delay=1.0)]
    speak(world)
    world.wait(20)
    assert len([effect for effect in world.done(Playing) if effect.playing]) == 2
    assert statuses(world) == ["completed"]


@pytest.mark.parametrize("fmt", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_paced_the_same(fmt: str) -> None:
    world = World(setup(session={"audio": {"output": {"format": {"type": fmt}}}}))
    world.watcher._audio = lambda *args: None  # its bytes are not PCM
    world.say("在吗")
    world.wait(5)
    audio = [
        base64.b64decode(event["delta"]) for event in world.events("response.output_audio.delta")
    ]
    assert len(b"".join(audio)) == pytest.approx(16_000, abs=200)
    assert all(len(each) <= 1_000 for each in audio)


def test_what_was_cut_off_long_ago_does_not_come_back() -> None:
    world = listening(turn_detection={"type": "server_vad", "create_response": False})
    world.client("response.create")
    world.wait(1)
    speak(world, "嗯")
    world.wait(5)
    world.detect(type="server_vad", create_response=True)
    speak(world, "")
    world.wait(5)
    assert len(world.plans) == 1


def test_a_question_is_answered_though_detection_is_turned_off_in_a_noise_after_it() -> None:
    world = listening()
    world.asr_delay = 1.0
    speak(world)
    world.wait(0.3)
    world.append(200)
    world.ear(SpeechStarted(int(world.fed_ms) - 100))
    world.detect()
    world.wait(8)
    assert statuses(world) == ["completed"]
    assert not world.watcher.open_turns


def test_what_is_said_after_an_interruption_is_heard_at_once_by_our_clock() -> None:
    world = listening()
    world.scripts = [Script(seconds=5), Script(("甲。", "乙。", "丙。"), delay=0.0)]
    speak(world)
    world.wait(2.0)
    speak(world, "等等")
    world.wait(2.6)
    speak(world, "什么？")
    assert world.done(StoreReply)[-1].text == "甲。乙。"


def test_a_client_that_asks_for_a_response_itself_stops_the_one_begun_in_a_pause() -> None:
    world = streaming()
    turn = pause_after(world, "你好吗")
    world.client("response.create")
    assert [effect.turn for effect in world.done(Stop)] == [turn]
