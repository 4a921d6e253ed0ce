"""What one response is made with."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.llm.base import Tool
from realtime import events
from realtime.config import SessionConfig
from realtime.errors import ProtocolError
from realtime.items import Item
from realtime.response_options import ItemReference, ResponseOptions
from tests.realtime.json_strategies import anything
from tests.realtime.official import check_ga, check_refusal
from tests.realtime.setups import CHARACTER, make_setup

SETUP = make_setup()
CONFIG = SessionConfig.initial(SETUP).updated(
    {
        "instructions": "短些。",
        "tools": [{"type": "function", "name": "look"}],
        "tool_choice": "required",
        "max_output_tokens": 100,
        "temperature": 0.9,
        "audio": {"output": {"voice": "echo", "speed": 1.2, "format": {"type": "audio/pcmu"}}},
    },
    setup=SETUP,
    extensions=True,
    audio_sent=False,
)
SESSIONS = ResponseOptions(
    voice="echo",
    speed=1.2,
    output_format="g711_ulaw",
    instructions="短些。",
    tools=(Tool("look"),),
    tool_choice="required",
    max_tokens=100,
    temperature=0.9,
)


def parse(response: Any, *, extensions: bool = True, **changes: Any) -> ResponseOptions:
    setup = make_setup(**changes)
    return ResponseOptions.parse(response, CONFIG, setup, extensions=extensions)


def refusal(response: Any, **changes: Any) -> tuple[str, str | None]:
    with pytest.raises(ProtocolError) as caught:
        parse(response, **changes)
    return caught.value.code, caught.value.param


def test_without_options_a_response_has_those_of_the_session():
    assert ResponseOptions.of(CONFIG) == SESSIONS
    assert parse(None) == parse({}) == SESSIONS
    nulls = (
        "instructions output_modalities audio tools tool_choice max_output_tokens metadata"
        " conversation input prompt temperature"
    )
    assert parse(dict.fromkeys(nulls.split())) == SESSIONS


def test_options_hold_for_this_response():
    options = parse(
        {
            "instructions": "",
            "output_modalities": ["text"],
            "audio": {"output": {"format": {"type": "audio/pcm"}, "voice": "shimmer"}},
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": "inf",
            "metadata": {"topic": "花", "": ""},
            "conversation": "none",
            "input": [],
            "prompt": {"id": "2"},
            "temperature": 0.6,
            "parallel_tool_calls": True,
            "reasoning": {"effort": "low"},
        }
    )
    assert options == ResponseOptions(
        modality="text",
        voice="shimmer",
        speed=1.2,
        output_format="pcm16",
        instructions="",
        tools=(),
        tool_choice="auto",  # there is nothing to choose from
        max_tokens=None,
        temperature=0.6,
        metadata={"topic": "花", "": ""},
        conversation="none",
        input=(),
        prompt={"id": "2"},
    )
    assert CONFIG.modality == "audio"


def test_the_response_object_shows_them_from_created_to_done():
    options = parse({"metadata": {"a": "b"}})
    described = options.describe("conv_1")
    assert described["metadata"] == {"a": "b"}
    assert described["conversation_id"] == "conv_1"
    assert described["max_output_tokens"] == 100
    assert described["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "echo"}
    check_ga(events.response_created(events.response_object("resp_1", described)))
    aside = parse({"conversation": "none", "output_modalities": ["text"]}).describe("conv_1")
    assert (aside["conversation_id"], aside["output_modalities"]) == (None, ["text"])
    check_ga(events.response_created(events.response_object("resp_1", aside)))


def test_a_tool_that_is_not_offered_is_not_forced():
    forced = {"type": "function", "name": "look"}
    assert parse({"tool_choice": forced}).tool_choice == "function:look"
    assert parse({"tool_choice": {"type": "function", "name": "else"}}).tool_choice == "auto"
    other = [{"type": "function", "name": "go"}]
    assert parse({"tools": other, "tool_choice": forced}).tool_choice == "auto"
    assert parse({"tools": other}).tool_choice == "required"


def test_metadata_has_bounds():
    most = {f"k{n}": "v" * 512 for n in range(15)} | {"k" * 64: ""}
    assert parse({"metadata": most}).metadata == most
    for bad in (
        {f"k{n}": "v" for n in range(17)},
        {"k" * 65: "v"},
        {"k": "v" * 513},
        {"k": 7},
        {"k": None},
        ["k"],
        "k",
    ):
        assert refusal({"metadata": bad}) == ("invalid_value", "response.metadata")


def test_input_replaces_the_history():
    options = parse(
        {
            "input": [
                {"type": "item_reference", "id": "item_1"},
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "你好"}],
                },
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_audio", "transcript": "在吗", "audio": "AAAA"}],
                },
            ]
        }
    )
    assert options.input is not None
    reference, typed, spoken = options.input
    assert reference == ItemReference("item_1")
    assert isinstance(typed, Item)
    assert isinstance(spoken, Item)
    assert (typed.text, spoken.text) == ("你好", "在吗")
    assert parse({"input": None}).input is None


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ([], "invalid_value", "response"),
        ("x", "invalid_value", "response"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
        ({"conversation": ["auto"]}, "invalid_value", "response.conversation"),
        ({"instructions": 7}, "invalid_value", "response.instructions"),
        ({"output_modalities": ["smell"]}, "invalid_value", "response.output_modalities"),
        ({"audio": {"output": {"voice": "x"}}}, "invalid_value", "response.audio.output.voice"),
        (
            {"audio": {"output": {"format": {"type": "x"}}}},
            "invalid_value",
            "response.audio.output.format.type",
        ),
        ({"tools": [{"type": "mcp"}]}, "unsupported_value", "response.tools"),
        ({"max_output_tokens": 5000}, "invalid_value", "response.max_output_tokens"),
        ({"input": {}}, "invalid_value", "response.input"),
        ({"input": [7]}, "invalid_value", "response.input[0]"),
        ({"input": [{"type": "x"}]}, "invalid_value", "response.input[0].type"),
        (
            {"input": [{"type": "item_reference"}]},
            "missing_required_parameter",
            "response.input[0].id",
        ),
        (
            {
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_audio", "audio": "AAAA"}],
                    }
                ]
            },
            "unsupported_value",
            "response.input[0].content",
        ),
        ({"prompt": {"id": ""}}, "missing_required_parameter", "response.prompt.id"),
        ({"temperature": 3}, "invalid_value", "response.temperature"),
    ],
)
def test_options_that_will_not_do(response: Any, code: str, param: str):
    assert refusal(response) == (code, param)


def test_a_key_that_is_bound_to_a_voice_or_character_keeps_it():
    bound = frozenset({"voice", "prompt"})
    assert refusal({"audio": {"output": {"voice": "alloy"}}}, locked=bound) == (
        "cannot_update_voice",
        "response.audio.output.voice",
    )
    assert parse({"audio": {"output": {"voice": "echo"}}}, locked=bound).voice == "echo"
    assert refusal({"prompt": {"id": "2"}}, locked=bound) == ("invalid_value", "response.prompt")


def test_a_key_that_is_bound_to_a_length_allows_no_longer_response():
    bound = {"session": {"max_output_tokens": 100}, "locked": frozenset({"max_output_tokens"})}
    assert parse({"max_output_tokens": 99}, **bound).max_tokens == 99
    for longer in (101, "inf"):
        told = refusal({"max_output_tokens": longer}, **bound)
        assert told == ("invalid_value", "response.max_output_tokens")


def test_another_character_speaks_with_its_own_voice_unless_the_client_has_chosen_one():
    other = replace(CHARACTER, role_id=2, voice="alloy")
    asked = {"prompt": {"id": "2"}}
    assert parse(asked, character=other).voice == "echo"
    plain = SessionConfig.initial(SETUP)
    setup = make_setup(character=other)
    assert ResponseOptions.parse(asked, plain, setup, extensions=False).voice == "alloy"
    assert ResponseOptions.parse(asked, plain, SETUP, extensions=False).voice == plain.voice


def test_temperature_and_other_formats_are_of_the_beta_dialect():
    assert parse({"temperature": 0.6}, extensions=False).temperature == CONFIG.temperature
    mp3 = {"audio": {"output": {"format": {"type": "audio/mp3"}}}}
    assert parse(mp3).output_format == "mp3"
    assert refusal(mp3, extensions=False)[1] == "response.audio.output.format.type"


NAMES = [
    *("instructions", "output_modalities", "audio", "tools", "tool_choice", "max_output_tokens"),
    *("metadata", "conversation", "input", "prompt", "temperature"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), anything | st.lists(anything, max_size=2)))
def test_nothing_that_a_client_sends_breaks_it(response: Any):
    try:
        options = parse(response)
    except ProtocolError as error:
        check_refusal(error, "response")
        return
    shown = events.response_created(events.response_object("resp_1", options.describe("conv_1")))
    check_ga(shown)
    json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()


def test_the_items_of_an_input_have_no_more_than_so_many_characters():
    text = {"type": "input_text", "text": "字" * 200_000}
    item = {"type": "message", "role": "user", "content": [text]}
    taken = ResponseOptions.parse({"input": [item] * 2}, CONFIG, SETUP, extensions=False)
    assert taken.input is not None
    assert len(taken.input) == 2
    with pytest.raises(ProtocolError) as caught:
        ResponseOptions.parse({"input": [item] * 3}, CONFIG, SETUP, extensions=False)
    assert (caught.value.code, caught.value.param) == ("invalid_value", "response.input")
