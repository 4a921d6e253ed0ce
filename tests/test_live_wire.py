"""Orders and events of a live turn on their way over a bus."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    Heard,
    HearingFailed,
    ReplyEnded,
    ReplyFailed,
    SentenceReady,
    TextReady,
)
from chat.engine.order import ReplyOrder
from chat.engine.stages import Deadlines
from chat.engine.wire import decode_event, decode_order, encode_event, encode_order
from chat.llm.base import Persona, Prompt, PromptMessage, Tool, ToolCall
from voice.tts.base import VoiceRef

EVENTS = [
    Heard("孔明", final=False),
    HearingFailed("asr", "timeout", "after 3 s"),
    TextReady("亮"),
    SentenceReady("亮在此。"),
    AudioReady(b"\x00\x01"),
    CallBegins("call_1", "weather"),
    CallArguments('{"city"'),
    CallEnds(),
    ReplyEnded("tool_calls", 10, 20, 3),
    ReplyFailed("tts", "auth"),
]
ORDER = ReplyOrder(
    Prompt(
        (
            PromptMessage("system", "亮"),
            PromptMessage("assistant", "", (ToolCall("call_1", "weather", "{}"),)),
            PromptMessage("tool", "雨", tool_call_id="call_1"),
        ),
        Persona("诸葛亮", examples=(("问", "答"),), lore=("东风",)),
        (Tool("weather", "天气", {"type": "object", "properties": {"city": {}}}),),
        "function:weather",
    ),
    VoiceRef("openai", "alloy", "en"),
    speed=1.5,
    preface="方才",
    deadlines=Deadlines(tts_first=3),
)


def carried(value):
    """As it comes out of the bus."""
    return msgpack.unpackb(msgpack.packb(value))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_out_as_it_went_in(event):
    assert decode_event(carried(encode_event(event))) == event


@pytest.mark.parametrize("order", [ORDER, ReplyOrder(None, None, preface="完")])
def test_an_order_comes_out_as_it_went_in(order):
    assert decode_order(carried(encode_order(order))) == order


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_anything_else_is_a_value_error(value):
    for decode in (decode_event, decode_order):
        with pytest.raises(ValueError):
            decode(value)


@pytest.mark.parametrize(
    "value",
    [
        ["heard", "孔明"],
        ["heard", "孔明", 1],
        ["heard", 1, True],
        ["hearing_failed", "kitchen", "timeout", ""],
        ["ended", "stop", True, 1, 0],
        ["call_ends", ""],
        [["heard"], "", True],
    ],
)
def test_an_event_with_wrong_fields_is_a_value_error(value):
    with pytest.raises(ValueError):
        decode_event(value)


@pytest.mark.parametrize(
    "change",
    [
        {"speed": "1"},
        {"max_tokens": 1.5},
        {"voice": ["openai", "alloy", "en"]},
        {"prompt": {"messages": []}},
        {"colour": "red"},
    ],
)
def test_an_order_with_wrong_fields_is_a_value_error(change):
    with pytest.raises(ValueError):
        decode_order(encode_order(ORDER) | change)


def test_nested_fields_are_checked_too():
    order = carried(encode_order(ORDER))
    order["prompt"]["messages"][0]["role"] = "king"
    with pytest.raises(ValueError):
        decode_order(order)
    order = carried(encode_order(ORDER))
    order["prompt"]["persona"]["examples"] = [["问"]]
    with pytest.raises(ValueError):
        decode_order(order)
