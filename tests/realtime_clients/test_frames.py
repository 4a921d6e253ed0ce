"""The checks themselves: what is wrong on the wire does not get past them."""

import json
from typing import Any

import pytest

from tests.realtime_clients.frames import Order, check_frame

STARTED = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "event_1",
    "audio_start_ms": 120,
    "item_id": "item_1",
}
ADDED = {
    "type": "conversation.item.added",
    "event_id": "event_2",
    "previous_item_id": None,
    "item": {
        "id": "item_1",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "你好"}],
    },
}
USAGE = {
    "total_tokens": 3,
    "input_tokens": 1,
    "output_tokens": 2,
    "input_token_details": {"text_tokens": 1, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 2, "audio_tokens": 0},
}


def checked(event: dict[str, Any], dialect: Any = "ga") -> None:
    check_frame(json.dumps(event), event, dialect)


def test_what_is_right_passes():
    checked(STARTED)
    checked(ADDED)
    checked(STARTED, "beta")
    checked({**ADDED, "type": "conversation.item.created"}, "beta")


@pytest.mark.parametrize(
    "event",
    [
        {**STARTED, "audio_start_ms": 120.5},
        {**STARTED, "audio_start_ms": "120"},
        {**STARTED, "event_id": None},
        {**STARTED, "more": 1},
        {**STARTED, "type": "input_audio_buffer.shouting"},
        {key: STARTED[key] for key in ("type", "event_id", "audio_start_ms")},
        {**ADDED, "item": {**ADDED["item"], "role": "stranger"}},
        {**ADDED, "item": {**ADDED["item"], "call_id": None}},
        {**ADDED, "item": {**ADDED["item"], "mood": "calm"}},
    ],
    ids=str,
)
def test_what_is_wrong_does_not(event: dict[str, Any]):
    with pytest.raises((AssertionError, ValueError)):
        checked(event)


def test_each_dialect_has_its_own_events():
    with pytest.raises(AssertionError, match="is no event of beta"):
        checked(ADDED, "beta")


def response(kind: str, id_: str = "resp_1", status: str = "completed") -> dict[str, Any]:
    body: dict[str, Any] = {"id": id_, "conversation_id": "conv_1", "status": status}
    return {"type": f"response.{kind}", "response": {**body, "usage": USAGE}}


def item(kind: str, id_: str = "resp_1") -> dict[str, Any]:
    what = {"response_id": id_, "output_index": 0, "item": {"status": "completed"}}
    return {"type": f"response.output_item.{kind}", **what}


CREATED: dict[str, Any] = {"type": "session.created"}


def delta(text: str) -> dict[str, Any]:
    place = {"response_id": "resp_1", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", **place, "delta": text}


def done(text: str) -> dict[str, Any]:
    return {**delta(""), "type": "response.output_text.done", "text": text}


def in_order(*events: dict[str, Any]) -> Order:
    order = Order()
    for number, event in enumerate((CREATED, *events)):
        order.take({"event_id": f"event_{number}", **event})
    return order


def test_a_whole_response_is_in_order():
    turn = [response("created"), item("added"), delta("你"), delta("好"), done("你好")]
    in_order(*turn, item("done"), response("done")).finish()


@pytest.mark.parametrize(
    "events",
    [
        [response("done")],
        [response("created"), response("created")],
        [response("created"), response("created", "resp_2")],
        [response("created"), response("done"), response("done")],
        [response("created"), item("added"), response("done")],
        [response("created"), response("done"), item("added")],
        [response("created"), item("added"), delta("你"), done("你好")],
        [response("created"), delta("你")],
        [{**ADDED, "previous_item_id": "item_0"}],
        [ADDED, {**ADDED, "event_id": "event_9"}],
        [CREATED, {**CREATED, "event_id": "event_0"}],
        [{"type": "error", "error": {"message": "no", "event_id": "never_sent"}}],
    ],
)
def test_what_is_out_of_order_is_found(events: list[dict[str, Any]]):
    with pytest.raises((AssertionError, KeyError)):
        in_order(*events)


def test_a_response_that_never_ends_is_found():
    with pytest.raises(AssertionError, match="never ended"):
        in_order(response("created")).finish()
