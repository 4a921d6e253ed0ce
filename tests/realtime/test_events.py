"""Every server event is what the official package's types say, and no more."""

import pytest

from realtime import events
from realtime.errors import ProtocolError, invalid
from realtime.events import Place
from realtime.items import Item, Part
from realtime.response_options import ResponseOptions
from tests.realtime.official import check_ga
from tests.realtime.setups import Ids

PLACE = Place("resp_1", "item_1", output_index=1, content_index=0)
HEARD = Item.heard("item_1").render()
TYPED = Item.typed("item_2", "assistant", "好").render()
CALL = Item.call("item_3", "call_1", "look").render()
OUTPUT = Item.parse(
    {"type": "function_call_output", "call_id": "call_1", "output": ""}, Ids()
).render()
DESCRIBED = ResponseOptions(voice="alloy", metadata={"a": "b"}).describe("conv_1")
USED = events.usage(
    prompt_tokens=90, completion_tokens=7, cached_tokens=64, heard_seconds=1.26, spoken_seconds=2
)

EVENTS = {
    "speech started": events.speech_started("item_1", 1234.7),
    "speech stopped": events.speech_stopped("item_1", 2000),
    "timeout": events.timeout_triggered("item_1", 1.5, 7.0),
    "committed": events.buffer_committed("item_1", None),
    "cleared": events.buffer_cleared(),
    "transcription delta": events.transcription_delta("item_1", "你"),
    "transcription": events.transcription_completed("item_1", "你好", 1.2345),
    "transcription of silence": events.transcription_completed("item_1", "", 0),
    "transcription failed": events.transcription_failed("item_1", "nobody understood it"),
    "item added": events.item_added(HEARD, None),
    "item done": events.item_done(TYPED, "item_1"),
    "call added": events.item_added(CALL, "item_1"),
    "output added": events.item_added(OUTPUT, "item_1"),
    "retrieved": events.item_retrieved(Item.heard("item_1", "你好").render("AAAA")),
    "deleted": events.item_deleted("item_1"),
    "truncated": events.item_truncated("item_1", 0, 1500.2),
    "response created": events.response_created(events.response_object("resp_1", DESCRIBED)),
    "response done": events.response_done(
        events.response_object(
            "resp_1", DESCRIBED, status="completed", output=[TYPED, CALL], usage=USED
        )
    ),
    "response cancelled": events.response_done(
        events.response_object(
            "resp_1",
            DESCRIBED,
            status="cancelled",
            usage=USED,
            details=events.status_details("cancelled", reason="turn_detected"),
        )
    ),
    "response failed": events.response_done(
        events.response_object(
            "resp_1",
            DESCRIBED,
            status="failed",
            usage=USED,
            details=events.status_details("failed", error_message="the model is away"),
        )
    ),
    "rate limits": events.rate_limits_updated(
        [
            {"name": "requests", "limit": 60, "remaining": 59, "reset_seconds": None},
            {"name": "seconds", "limit": 1},
        ]
    ),
    "output item added": events.output_item_added(PLACE, CALL),
    "output item done": events.output_item_done(PLACE, TYPED),
    "part added": events.content_part_added(PLACE, audio=True),
    "part done": events.content_part_done(PLACE, "好", audio=False),
    "text": events.text_delta(PLACE, "好"),
    "text done": events.text_done(PLACE, "好"),
    "audio": events.audio_delta(PLACE, "AAAA"),
    "audio done": events.audio_done(PLACE),
    "transcript": events.transcript_delta(PLACE, "好"),
    "transcript done": events.transcript_done(PLACE, "好"),
    "arguments": events.call_arguments_delta(PLACE, "call_1", "{"),
    "arguments done": events.call_arguments_done(PLACE, "call_1", "look", "{}"),
    "error": invalid("session.voice", "a voice").body("event_7"),
    "error of ours": ProtocolError("server_error", "away", kind="server_error").body(),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_events_are_of_the_official_types(event):
    check_ga(event)
    assert "event_id" not in event  # the session numbers them


def test_usage_adds_up_in_whole_numbers():
    assert USED["input_tokens"] == 90 + 13
    assert USED["output_tokens"] == 7 + 40
    assert USED["total_tokens"] == 150
    assert USED["input_token_details"]["cached_tokens"] == 64
    none = events.usage()
    assert none["total_tokens"] == 0
    assert none["input_token_details"]["cached_tokens_details"]["audio_tokens"] == 0


def test_limits_tell_only_what_is_known_and_allowed():
    limits = EVENTS["rate limits"]["rate_limits"]
    assert limits == [{"name": "requests", "limit": 60, "remaining": 59}]


def test_details_say_why_a_response_ended():
    assert events.status_details("completed") is None
    assert events.status_details("incomplete", reason="max_output_tokens") == {
        "type": "incomplete",
        "reason": "max_output_tokens",
    }
    failed = events.status_details("failed", error_message="away")
    assert failed is not None
    assert failed["error"] == {"type": "server_error", "code": "server_error", "message": "away"}


@pytest.mark.parametrize("event_id", [None, 7, ["a"], "x" * 600, {"a": 1}])
def test_an_error_names_the_clients_event_only_by_a_short_string(event_id):
    assert invalid("a", "b").body(event_id)["error"]["event_id"] is None
    assert invalid("a", "b").body("event_1")["error"]["event_id"] == "event_1"


def test_parts_in_events_are_text_and_audio_in_both_dialects():
    assert events.content_part_added(PLACE, audio=True)["part"] == {
        "type": "audio",
        "transcript": "",
    }
    assert events.content_part_done(PLACE, "好", audio=False)["part"] == {
        "type": "text",
        "text": "好",
    }
    assert Part("output_audio").render() == {"type": "output_audio", "transcript": ""}
