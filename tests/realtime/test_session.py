"""The sequences of the protocol without the ear: §3.1, 3.2, 3.5 to 3.9, and errors."""

import base64
from typing import Any

import pytest

from chat.engine.live_events import Heard, HearingFailed
from realtime.effects import (
    Close,
    FinishUtterance,
    ForgetItem,
    Hear,
    Listen,
    Release,
    Respond,
    Stop,
    StoreReply,
    StoreTranscript,
    StoreUtterance,
)
from realtime.utterances import MOST_WAITING
from tests.realtime.simulator import CHARACTER, Script, World, setup

AUDIO_TURN = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
AUDIO_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def manual(**changes: Any) -> World:
    """A session without turn detection."""
    session = {"audio": {"input": {"turn_detection": None, "transcription": {}}}}
    return World(setup(session=session, **changes))


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert [event["type"] for event in events] == ["error"]
    return events[0]["error"]


def text_item(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **more}


# --- §3.1


def test_the_session_is_shown_first_and_says_who_it_is() -> None:
    world = World()
    created = world.sent[0][1]
    assert world.kinds() == ["session.created"]
    assert created["session"]["id"] == world.setup.session_id
    assert created["session"]["instructions"] == CHARACTER.instructions


def test_a_turn_in_text_has_every_event_in_its_order() -> None:
    world = World()
    world.update(output_modalities=["text"])
    before = len(world.sent)
    world.say("在吗")
    world.wait(3)
    kinds = world.kinds(before)
    assert kinds[:7] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        *AUDIO_TURN,
    ]
    assert set(kinds[7:-5]) == {"response.output_text.delta"}
    assert kinds[-5:] == ["response.output_text.done", *AUDIO_END[2:]]
    done = world.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "你好。今天天气真好。"}]
    assert world.done(StoreReply)[-1].spoken is False


def test_a_spoken_reply_has_each_transcript_before_its_audio_and_no_audio_when_done() -> None:
    world = World()
    world.say("在吗")
    world.wait(5)
    kinds = world.kinds()
    assert kinds[-6:] == AUDIO_END
    spoken = [kind for kind in kinds if kind.startswith("response.output_audio")]
    transcripts = [n for n, kind in enumerate(spoken) if "transcript.delta" in kind]
    assert len(transcripts) == 2
    assert all(spoken[n + 1] == "response.output_audio.delta" for n in transcripts)
    item = world.last("response.done")["response"]["output"][0]
    assert item["content"] == [{"type": "output_audio", "transcript": "你好。今天天气真好。"}]
    assert world.done(StoreReply) == [StoreReply(item["id"], "你好。今天天气真好。")]


def test_the_model_is_told_what_was_said_in_order() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("你是诗人", "system"))
    world.client("conversation.item.create", item=text_item("我来了", "assistant"))
    world.say("在吗")
    world.wait(5)
    world.say("再见")
    said = [(message.role, message.content) for message in world.plans[-1].messages]
    assert said == [
        ("system", "你是诗人"),
        ("assistant", "我来了"),
        ("user", "在吗"),
        ("assistant", "你好。今天天气真好。"),
        ("user", "再见"),
    ]


def test_what_was_typed_is_stored_before_the_client_sees_it_and_is_kept_under_its_id() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("在吗", id="mine"))
    assert world.done(StoreUtterance) == [StoreUtterance("mine", "在吗")]
    assert world.last("conversation.item.added")["item"]["id"] == "mine"
    again = error(world.client("conversation.item.create", item=text_item("x", id="mine")))
    assert again["code"] == "item_create_duplicate_item_id"
    lost = world.client("conversation.item.create", item=text_item("x"), previous_item_id="nowhere")
    assert error(lost)["code"] == "item_create_invalid_previous_item_id"
    assert len(world.done(StoreUtterance)) == 1


def test_what_is_put_at_the_beginning_is_history_and_is_not_stored() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("二"))
    first = world.client("conversation.item.create", item=text_item("一"), previous_item_id="root")
    assert first[0]["previous_item_id"] is None
    assert [effect.text for effect in world.done(StoreUtterance)] == ["二"]


def test_a_typed_message_that_cannot_be_stored_is_an_error_of_its_event() -> None:
    world = World()
    world.raw(
        {"type": "conversation.item.create", "event_id": "e1", "item": text_item("a", id="i")}
    )
    world.store_failed("i")
    assert world.last("error")["error"]["event_id"] == "e1"
    assert world.last("error")["error"]["type"] == "server_error"


def test_what_was_said_aloud_and_cannot_be_stored_is_told_too() -> None:
    world = manual()
    world.append(300)
    world.client("input_audio_buffer.commit")
    world.client("response.create")
    world.wait(5)
    said = world.last("input_audio_buffer.committed")["item_id"]
    answered = world.last("response.output_item.added")["item"]["id"]
    for item_id in (said, answered):
        world.store_failed(item_id)
        told = world.last("error")["error"]
        assert (told["type"], told["event_id"]) == ("server_error", None)
        assert item_id in told["message"]
    world.client("conversation.item.delete", item_id=said)
    world.store_failed(said)
    assert len(world.events("error")) == 2, "nobody misses what was deleted"


# --- §3.2


def test_a_manual_turn_is_committed_understood_and_answered_on_demand() -> None:
    world = manual()
    world.append(500)
    before = len(world.sent)
    world.client("input_audio_buffer.commit")
    world.wait(5)
    assert world.kinds(before) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    item_id = world.last("input_audio_buffer.committed")["item_id"]
    assert world.last("conversation.item.done")["item"]["content"] == [
        {"type": "input_audio", "transcript": None}
    ]
    assert world.last("conversation.item.input_audio_transcription.completed")["usage"] == {
        "type": "duration",
        "seconds": pytest.approx(0.5, abs=0.05),
    }
    assert world.done(StoreTranscript) == [StoreTranscript(item_id, "你好吗")]
    assert not world.events("response.created")
    world.client("response.create")
    world.wait(5)
    assert world.last("response.done")["response"]["status"] == "completed"
    assert world.plans[0].messages[-1].content == "你好吗"


def test_a_response_asked_for_at_once_waits_for_the_transcript_in_the_same_turn() -> None:
    world = manual()
    world.asr_delay = 0.5
    world.append(500)
    world.client("input_audio_buffer.commit")
    world.client("response.create")
    assert world.kinds()[-2:] == ["response.created", "rate_limits.updated"]
    assert not world.done(Respond)
    world.wait(5)
    assert world.done(Respond)[0].turn == world.done(Listen)[0].turn
    assert world.plans[0].messages[-1].content == "你好吗"
    assert world.last("response.done")["response"]["status"] == "completed"
    assert world.last("response.done")["response"]["usage"]["input_token_details"] == {
        "text_tokens": 100,
        "audio_tokens": 5,
        "image_tokens": 0,
        "cached_tokens": 50,
        "cached_tokens_details": {"text_tokens": 50, "audio_tokens": 0, "image_tokens": 0},
    }


def test_a_response_waits_for_everything_that_was_said_before_it() -> None:
    world = manual()
    world.asr_delay = 0.5
    world.transcripts = ["一", "二"]
    for _ in range(2):
        world.append(500)
        world.client("input_audio_buffer.commit")
        world.wait(0.2)
    world.client("response.create")
    world.wait(0.2)
    assert not world.done(Respond)
    world.wait(5)
    assert [message.content for message in world.plans[0].messages] == ["一", "二"]
    assert len(world.plans) == 1


@pytest.mark.parametrize("streaming", [True, False])
def test_a_streaming_recogniser_hears_while_the_client_appends(streaming: bool) -> None:
    world = manual(streaming=streaming)
    world.append(200)
    assert bool(world.done(Listen)) is streaming
    world.append(200)
    world.client("input_audio_buffer.commit")
    world.wait(1)
    turn = world.done(Listen)[0].turn
    assert len(world.done(Listen)) == 1
    heard = b"".join(effect.pcm for effect in world.done(Hear))
    assert heard == world.done(StoreUtterance)[0].pcm
    assert [effect.turn for effect in world.done(Release)] == [turn]


def test_a_buffer_that_is_cleared_is_forgotten_with_what_was_heard_of_it() -> None:
    world = manual(streaming=True)
    world.append(300)
    assert world.client("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    assert [effect.turn for effect in world.done(Release)] == [world.done(Listen)[0].turn]
    assert world.client("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    empty = error(world.client("input_audio_buffer.commit"))
    assert empty["code"] == "input_audio_buffer_commit_empty"
    assert "buffer only has 0.00ms of audio" in empty["message"]


def test_an_utterance_that_cannot_be_recognised_fails_what_waits_for_it() -> None:
    world = manual()
    world.transcripts = [None]
    world.append(500)
    world.client("input_audio_buffer.commit")
    world.client("response.create")
    world.wait(5)
    failed = world.last("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["message"] == "Speech recognition failed (unavailable)."
    done = world.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "server_error"
    assert not world.done(Respond)


def test_an_utterance_that_the_quota_does_not_allow_says_so() -> None:
    world = manual()
    world.append(500)
    world.client("input_audio_buffer.commit")
    turn = world.done(Listen)[0].turn
    world.heard(turn, HearingFailed("asr", "insufficient_quota"))
    failed = world.last("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["code"] == "insufficient_quota"


def test_transcripts_are_kept_to_ourselves_unless_they_are_wanted() -> None:
    world = World(setup(session={"audio": {"input": {"turn_detection": None}}}))
    world.append(500)
    world.client("input_audio_buffer.commit")
    world.wait(1)
    assert world.kinds()[-1] == "conversation.item.done"
    item_id = world.last("conversation.item.done")["item"]["id"]
    shown = world.client("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert shown["content"] == [{"type": "input_audio", "transcript": "你好吗"}]


def test_audio_in_an_item_is_understood_as_if_it_was_committed() -> None:
    world = manual()
    audio = base64.b64encode(bytes(48_000)).decode()
    content = [{"type": "input_audio", "audio": audio}]
    item = {"type": "message", "role": "user", "content": content, "id": "clip"}
    world.client("conversation.item.create", item=item)
    world.client("response.create")
    world.wait(5)
    stored = world.done(StoreUtterance)[0]
    assert (stored.item_id, stored.text, len(stored.pcm)) == ("clip", "", 32_000)
    assert world.done(StoreTranscript) == [StoreTranscript("clip", "你好吗")]
    completed = world.last("conversation.item.input_audio_transcription.completed")
    assert (completed["item_id"], completed["transcript"]) == ("clip", "你好吗")
    assert world.plans[0].messages[-1].content == "你好吗"


# --- §3.4, cancelling


def test_a_cancelled_response_is_closed_in_order_and_stopped_upstream() -> None:
    world = World()
    world.say("在吗")
    world.wait(0.45)
    before = len(world.sent)
    world.client("response.cancel")
    assert world.kinds(before) == AUDIO_END
    done = world.last("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"]["output_token_details"]["audio_tokens"] > 0
    assert world.done(Stop)
    assert not world.watcher.open_turns
    gone = error(world.client("response.cancel"))
    assert gone["code"] == "response_cancel_not_active"
    assert gone["message"].startswith("Cancellation failed")
    before = len(world.sent)
    world.wait(10)
    assert len(world.sent) == before


def test_a_response_is_cancelled_before_anything_has_come_of_it() -> None:
    world = World()
    world.say("在吗")
    world.client("response.cancel")
    assert world.kinds()[-1] == "response.done"
    assert world.last("response.done")["response"]["output"] == []
    assert not world.done(StoreReply)


# --- §3.5


def spoken_item(world: World) -> str:
    world.say("在吗")
    world.wait(1.2)
    return world.last("response.done")["response"]["output"][0]["id"]


def test_truncation_keeps_the_sentences_that_were_heard_and_can_be_repeated() -> None:
    world = World()
    item_id = spoken_item(world)
    cut = world.client(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1500
    )
    assert cut[0]["type"] == "conversation.item.truncated"
    assert cut[0]["audio_end_ms"] == 1500
    whole = "你好。今天天气真好。"
    assert world.done(StoreReply)[-1] == StoreReply(item_id, "你好。", whole)
    shown = world.client("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert shown["status"] == "incomplete"
    assert shown["content"][0]["transcript"] == "你好。"
    assert not world.watcher.playing
    world.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)
    assert world.done(StoreReply)[-1] == StoreReply(item_id, "", whole)
    world.say("什么？")
    assert [message.content for message in world.plans[-1].messages] == ["在吗", "什么？"]


def test_truncation_behind_the_end_has_some_slack() -> None:
    world = World()
    item_id = spoken_item(world)
    fields = {"item_id": item_id, "content_index": 0}
    clamped = world.client("conversation.item.truncate", audio_end_ms=2500, **fields)[0]
    assert clamped["audio_end_ms"] == 2000
    refused = error(world.client("conversation.item.truncate", audio_end_ms=2501, **fields))
    assert refused["code"] == "invalid_value"
    assert refused["param"] == "audio_end_ms"
    assert refused["message"] == "Audio content of 2000ms is already shorter than 2501ms"
    wrong = error(world.client("conversation.item.truncate", audio_end_ms="x", **fields))
    assert wrong["param"] == "audio_end_ms"
    unknown = error(
        world.client("conversation.item.truncate", item_id="no", content_index=0, audio_end_ms=1)
    )
    assert unknown["code"] == "item_truncate_invalid_item_id"


def test_an_item_may_be_truncated_while_it_is_said() -> None:
    world = World()
    world.say("在吗")
    world.wait(0.3)
    item_id = world.last("response.output_item.added")["item"]["id"]
    world.client("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    world.wait(5)
    done = world.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["status"] == "incomplete"
    assert not world.done(StoreReply)


def test_items_are_retrieved_and_deleted_and_forgotten() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("在吗", id="mine"))
    shown = world.client("conversation.item.retrieve", item_id="mine")[0]
    assert shown["item"]["content"] == [{"type": "input_text", "text": "在吗"}]
    deleted = world.client("conversation.item.delete", item_id="mine")[0]
    assert deleted["type"] == "conversation.item.deleted"
    assert world.done(ForgetItem) == [ForgetItem("mine")]
    for verb in ("retrieve", "delete"):
        refused = error(world.client(f"conversation.item.{verb}", item_id="mine"))
        assert refused["code"] == f"item_{verb}_invalid_item_id"
        assert refused["message"].endswith("the item with id 'mine' does not exist.")


def test_an_item_that_is_being_said_may_be_deleted() -> None:
    world = World()
    world.say("在吗")
    world.wait(0.3)
    item_id = world.last("response.output_item.added")["item"]["id"]
    world.client("conversation.item.delete", item_id=item_id)
    world.wait(5)
    assert world.last("conversation.item.done")["item"]["id"] == item_id
    assert world.last("response.done")["response"]["status"] == "completed"
    assert not world.done(StoreReply)
    world.say("再见")
    assert [message.content for message in world.plans[-1].messages] == ["在吗", "再见"]


def test_an_item_put_before_the_one_that_is_being_said_is_the_previous_one_in_the_end() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("在吗", id="first"))
    world.client("response.create")
    world.wait(0.3)
    second = text_item("还有", id="second")
    world.client("conversation.item.create", item=second, previous_item_id="first")
    world.wait(5)
    added = world.events("conversation.item.added")[1]
    assert added["previous_item_id"] == "first"
    assert world.last("conversation.item.done")["previous_item_id"] == "second"


def test_an_utterance_that_is_deleted_while_it_is_understood_was_never_said() -> None:
    world = manual()
    world.append(300)
    world.client("input_audio_buffer.commit")
    item_id = world.last("input_audio_buffer.committed")["item_id"]
    world.client("conversation.item.delete", item_id=item_id)
    world.wait(1)
    assert not world.done(StoreTranscript)
    assert not world.events("conversation.item.input_audio_transcription.completed")
    assert not world.watcher.open_turns


@pytest.mark.parametrize("content", [[], [{"type": "input_text", "text": "别的话"}]])
def test_an_item_in_place_of_a_deleted_one_is_not_given_its_transcript(content: list[Any]) -> None:
    world = manual()
    world.append(300)
    world.client("input_audio_buffer.commit")
    item_id = world.last("input_audio_buffer.committed")["item_id"]
    world.client("conversation.item.delete", item_id=item_id)
    item = {"type": "message", "role": "user", "content": content, "id": item_id}
    world.client("conversation.item.create", item=item)
    world.wait(1)
    world.client("conversation.item.retrieve", item_id=item_id)
    assert world.last("conversation.item.retrieved")["item"]["content"] == content
    assert not world.done(StoreTranscript)


def test_no_more_than_so_much_waits_to_be_understood() -> None:
    world = manual()
    world.asr_delay = 60
    for _ in range(MOST_WAITING):
        world.append(200)
        world.client("input_audio_buffer.commit")
    world.append(200)
    refused = error(world.client("input_audio_buffer.commit"))
    assert (refused["code"], refused["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    clip = [{"type": "input_audio", "audio": base64.b64encode(bytes(9_600)).decode()}]
    item = {"type": "message", "role": "user", "content": clip}
    assert error(world.client("conversation.item.create", item=item))["code"] == refused["code"]
    world.wait(61)
    world.client("input_audio_buffer.commit")
    assert len(world.events("input_audio_buffer.committed")) == MOST_WAITING + 1


def test_ten_minutes_that_wait_to_be_understood_are_enough() -> None:
    world = manual()
    world.asr_delay = 60
    for _ in range(3):
        world.append(250_000)
        world.client("input_audio_buffer.commit")
    world.append(200)
    refused = error(world.client("input_audio_buffer.commit"))
    assert refused["code"] == "rate_limit_exceeded"


# --- §3.6


def test_overrides_hold_for_one_response_and_metadata_comes_back() -> None:
    world = World()
    world.client(
        "response.create",
        response={
            "instructions": "押韵",
            "output_modalities": ["text"],
            "max_output_tokens": 7,
            "metadata": {"topic": "poem"},
        },
    )
    world.wait(3)
    plan = world.plans[0]
    assert (plan.instructions, plan.voice, plan.max_tokens) == ("押韵", None, 7)
    assert world.last("response.created")["response"]["metadata"] == {"topic": "poem"}
    assert world.last("response.done")["response"]["metadata"] == {"topic": "poem"}
    world.client("response.create", response={"instructions": None})
    assert world.plans[1].instructions == ""
    assert world.plans[1].voice == CHARACTER.voice


def test_a_response_keeps_the_settings_that_it_began_with() -> None:
    world = manual()
    world.append(300)
    world.client("input_audio_buffer.commit")
    world.client("response.create")
    world.update(instructions="später", output_modalities=["text"])
    world.wait(3)
    assert world.plans[0].instructions == ""
    assert world.plans[0].voice == CHARACTER.voice


def test_there_is_one_active_response() -> None:
    world = World()
    world.say("在吗")
    refused = error(world.client("response.create"))
    assert refused["code"] == "conversation_already_has_active_response"
    response_id = world.last("response.created")["response"]["id"]
    assert refused["message"].startswith(
        f"Conversation already has an active response in progress: {response_id}."
    )


def test_out_of_band_responses_run_beside_the_active_one_and_leave_nothing() -> None:
    world = World()
    world.client("conversation.item.create", item=text_item("往事", id="old"))
    world.say("在吗")
    reference = {"type": "item_reference", "id": "old"}
    world.client(
        "response.create",
        response={"conversation": "none", "input": [reference, text_item("总结")]},
    )
    world.client("response.create", response={"conversation": "none", "input": []})
    _, given, empty = world.plans
    assert [message.content for message in given.messages] == ["往事", "总结"]
    assert (given.history, empty.history, empty.messages) == (False, False, ())
    beside = [
        event["response"]["id"]
        for event in world.events("response.created")
        if event["response"]["conversation_id"] is None
    ]
    assert len(beside) == 2
    world.client("response.cancel", response_id=beside[1])
    world.wait(5)
    statuses = {e["response"]["id"]: e["response"]["status"] for e in world.events("response.done")}
    assert [statuses[each] for each in beside] == ["completed", "cancelled"]
    assert sorted(statuses.values()) == ["cancelled", "completed", "completed"]
    assert len(world.done(StoreReply)) == 1
    world.say("再见")
    assert len(world.plans[-1].messages) == 4


def test_at_most_four_responses_run_out_of_band() -> None:
    world = World()
    for _ in range(4):
        world.client("response.create", response={"conversation": "none"})
    refused = error(world.client("response.create", response={"conversation": "none"}))
    assert (refused["type"], refused["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    wrong = {"conversation": "none", "input": [{"type": "item_reference", "id": "nowhere"}]}
    world.wait(5)
    refused = error(world.client("response.create", response=wrong))
    assert refused["param"] == "response.input[0].id"


@pytest.mark.parametrize(
    ("script", "status", "details"),
    [
        (Script(finish_reason="length"), "incomplete", {"reason": "max_output_tokens"}),
        (Script(finish_reason="content_filter"), "incomplete", {"reason": "content_filter"}),
        (
            Script(fails_after=3),
            "failed",
            {
                "error": {
                    "type": "server_error",
                    "code": "server_error",
                    "message": "The language model failed (unavailable).",
                }
            },
        ),
    ],
)
def test_a_response_that_does_not_come_to_its_end_says_why(
    script: Script, status: str, details: dict[str, Any]
) -> None:
    world = World()
    world.scripts = [script, Script()]
    world.say("在吗")
    world.wait(5)
    done = world.last("response.done")["response"]
    assert done["status"] == status
    assert done["status_details"] == {"type": status, **details}
    assert done["output"][0]["status"] == "incomplete"
    assert not world.events("error")
    world.say("再来")
    world.wait(5)
    assert world.last("response.done")["response"]["status"] == "completed"


# --- §3.7


def test_a_call_follows_what_is_said_before_it_and_its_output_is_answered() -> None:
    world = World()
    tools = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
    world.update(tools=tools)
    world.scripts = [Script(["我看看。"], calls=["weather"]), Script(["晴天。"])]
    world.say("杭州天气怎样？")
    world.wait(5)
    kinds = [kind for kind in world.kinds() if "audio" not in kind]
    call = kinds[kinds.index("response.function_call_arguments.delta") - 3 :]
    assert call == [
        "conversation.item.done",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    arguments = world.last("response.function_call_arguments.done")
    assert arguments["output_index"] == 1
    assert (arguments["name"], arguments["arguments"]) == ("weather", '{"city": "杭州"}')
    done = world.last("response.done")["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert done["status"] == "completed"
    output = {"type": "function_call_output", "call_id": arguments["call_id"], "output": "晴"}
    world.client("conversation.item.create", item=output)
    world.client("response.create")
    said = world.plans[-1].messages
    assert [message.role for message in said] == ["user", "assistant", "tool"]
    assert said[1].content == "我看看。"
    assert said[1].tool_calls[0].name == "weather"
    assert said[2].tool_call_id == arguments["call_id"]
    assert world.plans[0].tools[0].name == "weather"


def test_a_call_that_is_cancelled_is_closed() -> None:
    world = World()
    world.scripts = [Script([], calls=["weather"], delay=0.3)]
    world.say("杭州天气怎样？")
    world.wait(0.7)
    before = len(world.sent)
    world.client("response.cancel")
    assert world.kinds(before) == [
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert world.last("response.output_item.done")["item"]["status"] == "incomplete"


def test_an_output_whose_call_is_unknown_is_taken() -> None:
    world = World()
    output = {"type": "function_call_output", "call_id": "call_old", "output": "晴"}
    assert world.client("conversation.item.create", item=output)[0]["item"]["output"] == "晴"


# --- §3.8


def test_a_transcription_session_transcribes_and_keeps_nothing() -> None:
    session = {"audio": {"input": {"turn_detection": None}}}
    world = World(setup(kind="transcription", session=session))
    assert world.sent[0][1]["session"]["type"] == "transcription"
    world.append(500)
    world.client("input_audio_buffer.commit")
    world.wait(1)
    completed = world.last("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "你好吗"
    assert not world.done(StoreUtterance)
    assert not world.done(StoreTranscript)
    refused = error(world.client("response.create"))
    assert refused["code"] == "invalid_event"


# --- §3.9, §4


def test_usage_counts_what_the_model_and_the_voice_made() -> None:
    world = World()
    world.say("在吗")
    world.wait(5)
    usage = world.last("response.done")["response"]["usage"]
    assert usage["output_token_details"] == {"text_tokens": 20, "audio_tokens": 40}
    assert usage["total_tokens"] == 100 + 20 + 40


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.fly"}, "invalid_event", "type"),
        ({"type": ["x"]}, "invalid_event", "type"),
        ({}, "missing_required_parameter", "type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "%"}, "invalid_value", "audio"),
        (
            {"type": "session.update", "session": {"audio": {"output": {"voice": "nobody"}}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
    ],
)
def test_what_is_wrong_is_told_with_the_id_of_its_event(
    event: dict[str, Any], code: str, param: str
) -> None:
    world = World()
    refused = error(world.raw({**event, "event_id": "mine"}))
    assert (refused["code"], refused["param"], refused["event_id"]) == (code, param, "mine")


def test_what_newer_clients_send_is_taken_without_a_word() -> None:
    world = World()
    assert world.client("output_audio_buffer.clear") == []


def test_an_error_that_was_found_at_the_edge_goes_the_same_way() -> None:
    world = World()
    effects = world.session.refuse("rate_limit_exceeded", "Slow down.", kind="rate_limit_error")
    assert effects[0].event["error"]["code"] == "rate_limit_exceeded"
    assert effects[0].event["event_id"].startswith("event_")


# --- settings


def test_the_voice_is_locked_once_it_was_heard() -> None:
    world = World()
    voice = {"output": {"voice": "echo"}}
    assert world.update(audio=voice)[0]["session"]["audio"]["output"]["voice"] == "echo"
    world.say("在吗")
    world.wait(5)
    assert world.update(audio=voice)[0]["type"] == "session.updated"
    locked = error(world.update(audio={"output": {"voice": "alloy"}}))
    assert locked["code"] == "cannot_update_voice"


def test_a_prompt_names_another_character_for_the_session_or_one_response() -> None:
    world = World()
    other = type(CHARACTER)(2, "李清照", "zh", "你是李清照。", "longxiaochun_v2")
    unknown = error(world.update(prompt={"id": "role:9"}))
    assert unknown["param"] == "session.prompt.id"
    world.client("response.create", response={"prompt": {"id": "role:2"}}, character=other)
    world.wait(5)
    world.say("谁？")
    assert [plan.character.name for plan in world.plans] == ["李清照", "苏轼"]
    session = {"type": "realtime", "prompt": {"id": "role:2"}}
    updated = world.client("session.update", session=session, character=other)[0]
    assert updated["session"]["instructions"] == "你是李清照。"
    updated = world.update(prompt=None)[0]
    assert updated["session"]["instructions"] == CHARACTER.instructions


# --- the end


def test_an_expired_session_cancels_says_so_and_closes() -> None:
    world = World(setup(max_seconds=60.0))
    world.wait(59.8)
    world.say("在吗")
    world.wait(1)
    assert world.kinds()[-2:] == ["response.done", "error"]
    assert world.last("response.done")["response"]["status"] == "cancelled"
    said = world.last("error")["error"]
    assert said["code"] == "session_expired"
    assert said["message"] == "Your session hit the maximum duration of 1 minutes."
    assert said["event_id"] is None
    assert world.done(Close) == [Close(1001, said["message"])]
    world.watcher.check_end()


def test_when_the_socket_is_gone_what_was_heard_is_stored_and_all_is_released() -> None:
    world = World()
    world.scripts = [Script(("你好。", "今天天气真好。"), seconds=5.0)]
    world.say("在吗")
    world.wait(6)
    world.client("response.create", response={"conversation": "none"})
    world.end()
    whole = "你好。今天天气真好。"
    item_id = world.events("response.output_item.added")[0]["item"]["id"]
    assert world.done(StoreReply) == [StoreReply(item_id, "你好。", whole)]
    world.watcher.check_end()


def test_a_reply_that_was_sent_to_its_end_counts_though_the_socket_goes_at_once() -> None:
    world = World()
    item_id = spoken_item(world)
    world.end()
    assert world.done(StoreReply) == [StoreReply(item_id, "你好。今天天气真好。")]


def test_what_was_not_understood_when_the_socket_went_is_stored_as_far_as_it_was() -> None:
    world = manual(streaming=True)
    world.append(300)
    world.heard(world.done(Listen)[0].turn, Heard("你好", final=False))
    world.client("input_audio_buffer.commit")
    assert world.done(FinishUtterance)
    world.end()
    assert world.done(StoreTranscript)[-1].text == "你好"
    world.watcher.check_end()
