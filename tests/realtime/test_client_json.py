"""Frames of clients: whatever an escape names can be sent back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.client_json import parse_frame
from realtime.errors import ProtocolError


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (r'{"event_id": "\ud800"}', {"event_id": "\ufffd"}),
        (r'{"a": [{"\uDFFF": "x\uDBFFy"}, "\ud83d\ude00", 7, null]}', None),
        (r'"\\ud800"', "\\ud800"),  # a backslash and letters
        (r'"\u0000"', "\0"),
        (r'{"a": 1.5}', {"a": 1.5}),
    ],
)
def test_halves_of_pairs_are_replaced_wherever_they_stand(frame: str, value: Any) -> None:
    if value is None:
        value = {"a": [{"\ufffd": "x\ufffdy"}, "\U0001f600", 7, None]}
    assert parse_frame(frame) == value


@pytest.mark.parametrize("frame", ["", "{", "NaN", '{"a": Infinity}', '{"a": "\\ud8"}'])
def test_what_is_no_json_is_refused(frame: str) -> None:
    with pytest.raises(ValueError):
        parse_frame(frame)


@pytest.mark.parametrize("inside", ["", '"\\ud800"'])
def test_what_is_too_deep_is_refused(inside: str) -> None:
    with pytest.raises(RecursionError):
        parse_frame("[" * 100_000 + inside + "]" * 100_000)


anything = st.recursive(
    st.text(st.characters(exclude_categories=()), max_size=5) | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(), max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_whatever_it_says_can_be_sent_back(value: Any) -> None:
    parsed = parse_frame(json.dumps(value))
    sent = json.dumps(parsed, ensure_ascii=False).encode()
    assert json.loads(sent) == parsed
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert parsed == value


def test_an_error_itself_sends_no_half_of_a_pair_back() -> None:
    body = ProtocolError("invalid_event", "This event is unknown.").body("\ud800")
    assert body["error"]["event_id"] == "\ufffd"
