"""Items of a conversation: read from what a client sends, and shown."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime import events
from realtime.errors import ProtocolError
from realtime.items import Item, Part
from tests.realtime.json_strategies import anything
from tests.realtime.official import check_ga, check_refusal
from tests.realtime.setups import Ids


def parse(item: Any) -> Item:
    return Item.parse(item, Ids())


def message(role: str, *content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **fields}


def text(value: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": value}


def call(call_id: str, name: str = "look", **fields: Any) -> Item:
    return parse({"type": "function_call", "call_id": call_id, "name": name, **fields})


def output(call_id: str, value: str = "ok") -> Item:
    return parse({"type": "function_call_output", "call_id": call_id, "output": value})


def typed(role: Any, value: str, item_id: str = "i") -> Item:
    return Item.typed(item_id, role, value)


# --- reading


def test_a_message_is_read_and_shown():
    item = parse(message("user", text("你好"), text("在吗"), id="mine"))
    assert item.render() == {
        "id": "mine",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [text("你好"), text("在吗")],
    }
    assert item.text == "你好\n在吗"
    check_ga(events.item_added(item.render(), "item_0"))
    assert parse(message("system", text("x"))).id == "item_1"


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
@pytest.mark.parametrize(
    ("role", "shown"),
    [("user", "input_text"), ("system", "input_text"), ("assistant", "output_text")],
)
def test_text_is_taken_under_any_of_its_names(role: str, kind: str, shown: str):
    item = parse(message(role, text("x", kind)))
    assert item.render()["content"] == [text("x", shown)]
    check_ga(events.item_done(item.render(), None))


def test_content_may_be_plain_text_as_in_chat_completions():
    item = parse({"type": "message", "role": "assistant", "content": "好"})
    assert item.content == [Part("output_text", "好")]


def test_speech_of_the_user_waits_for_its_transcript():
    item = parse(message("user", {"type": "input_audio", "audio": "AAAA"}))
    assert item.content[0].audio == "AAAA"
    assert item.understood is False
    assert item.render()["content"] == [{"type": "input_audio", "transcript": None}]
    check_ga(events.item_added(item.render(), None))
    item.content[0].text = "你好"
    assert item.understood
    assert item.render()["content"] == [{"type": "input_audio", "transcript": "你好"}]
    known = parse(message("user", {"type": "audio", "audio": "AAAA", "transcript": "你好"}))
    assert known.content == [Part("input_audio", "你好")]


def test_speech_of_the_assistant_counts_by_its_transcript():
    item = parse(message("assistant", {"type": "audio", "transcript": "好", "audio": "AAAA"}))
    assert item.render()["content"] == [{"type": "output_audio", "transcript": "好"}]
    assert item.prompt_text == "好"
    assert item.spoken is None  # there is nothing to cut


def test_audio_is_shown_only_where_it_is_asked_for():
    item = Item.heard("item_1", "你好")
    assert item.render("QUJD")["content"] == [
        {"type": "input_audio", "transcript": "你好", "audio": "QUJD"}
    ]
    check_ga(events.item_retrieved(item.render("QUJD")))
    assert typed("user", "x").render("QUJD")["content"] == [text("x")]


def test_calls_and_outputs():
    item = call("call_9", arguments='{"a": 1}', id="x")
    assert item.render() == {
        "id": "x",
        "object": "realtime.item",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_9",
        "name": "look",
        "arguments": '{"a": 1}',
    }
    assert call("").call_id == "call_2"  # one that has none is given one
    check_ga(events.item_added(item.render(), None))
    check_ga(events.item_added(output("call_9", "").render(), None))
    assert output("c").render()["output"] == "ok"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ([], "invalid_value", "item"),
        (None, "invalid_value", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        ({"type": ["message"]}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        (message("tool"), "invalid_value", "item.role"),
        ({"type": "message", "role": "user", "content": {}}, "invalid_value", "item.content"),
        (message("user", "x"), "invalid_value", "item.content[0]"),
        (message("user", {}), "missing_required_parameter", "item.content[0].type"),
        (message("user", text("a"), {"type": 7}), "invalid_value", "item.content[1].type"),
        (message("user", {"type": ["text"]}), "invalid_value", "item.content[0].type"),
        (message("user", {"type": "text"}), "missing_required_parameter", "item.content[0].text"),
        (message("user", text(7)), "invalid_value", "item.content[0].text"),  # type: ignore[arg-type]
        (message("user", text("x" * 200_001)), "invalid_value", "item.content[0].text"),
        (message("user", *[text("x")] * 65), "invalid_value", "item.content"),
        (message("user", {"type": "input_image"}), "unsupported_value", "item.content[0].type"),
        (
            message("user", {"type": "input_audio"}),
            "missing_required_parameter",
            "item.content[0].audio",
        ),
        (
            message("user", {"type": "input_audio", "audio": 7}),
            "invalid_value",
            "item.content[0].audio",
        ),
        (
            message("assistant", {"type": "output_audio", "audio": "AAAA"}),
            "missing_required_parameter",
            "item.content[0].transcript",
        ),
        (
            message("system", {"type": "input_audio", "audio": "AAAA"}),
            "invalid_value",
            "item.content[0].type",
        ),
        (message("user", id=7), "invalid_value", "item.id"),
        (message("user", id="x" * 10_000), "invalid_value", "item.id"),
        (message("user", id="a\nb"), "invalid_value", "item.id"),
        (message("user", id="\ud800"), "invalid_value", "item.id"),
        (
            {"type": "function_call_output", "output": "x"},
            "missing_required_parameter",
            "item.call_id",
        ),
        (
            {"type": "function_call_output", "call_id": "c"},
            "missing_required_parameter",
            "item.output",
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": {}},
            "invalid_value",
            "item.output",
        ),
        ({"type": "function_call", "call_id": "c"}, "missing_required_parameter", "item.name"),
        (
            {"type": "function_call", "name": "a", "arguments": {}},
            "invalid_value",
            "item.arguments",
        ),
    ],
)
def test_items_that_will_not_do(item: Any, code: str, param: str):
    with pytest.raises(ProtocolError) as caught:
        parse(item)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_ids_of_any_script_are_kept_and_odd_signs_in_text_replaced():
    assert parse(message("user", id="项目一")).id == "项目一"
    assert parse(message("user", text("a\0b\ud83dc"))).text == "a\ufffdb\ufffdc"
    assert parse(message("user", text("\ud83d\ude00"))).text == "\U0001f600"


messages = st.builds(
    message,
    st.sampled_from(["user", "assistant", "system"]),
    st.builds(text, st.text(max_size=20)),
    id=st.text(alphabet="abc项_-0", min_size=1, max_size=9),
)
calls = st.fixed_dictionaries(
    {
        "type": st.just("function_call"),
        "call_id": st.text(alphabet="abc", min_size=1),
        "name": st.text(alphabet="abc", min_size=1),
        "arguments": st.text(max_size=9),
        "id": st.just("i"),
    }
)
outputs = st.fixed_dictionaries(
    {
        "type": st.just("function_call_output"),
        "call_id": st.text(alphabet="abc", min_size=1),
        "output": st.text(max_size=9),
        "id": st.just("i"),
    }
)


@settings(max_examples=150, deadline=None)
@given(messages | calls | outputs)
def test_what_is_shown_is_read_as_the_same(item: Any):
    shown = parse(item).render()
    check_ga(events.item_added(shown, None))
    assert parse(shown).render() == shown
    json.dumps(shown, ensure_ascii=False).encode()


hostile = anything | st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "function_call", "function_call_output"]) | anything,
        "role": st.sampled_from(["user", "assistant", "system"]) | anything,
        "content": st.lists(
            anything
            | st.fixed_dictionaries(
                {"type": st.sampled_from(["text", "audio", "input_audio", "input_text"])},
                optional={"text": anything, "audio": anything, "transcript": anything},
            ),
            max_size=3,
        )
        | anything,
    },
    optional=dict.fromkeys(("id", "call_id", "name", "arguments", "output", "status"), anything),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_nothing_that_a_client_sends_breaks_it(item: Any):
    try:
        parsed = parse(item)
    except ProtocolError as error:
        check_refusal(error, "item")
        return
    check_ga(events.item_added(parsed.render(), None))
    json.dumps(parsed.render(), ensure_ascii=False).encode()
