"""The beta dialect: read in either spelling, and rendered as its official types say."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import events
from realtime.beta import (
    Renderer,
    beta_session,
    is_beta_update,
    normalized,
    normalized_session,
    wants_beta,
)
from realtime.config import SessionConfig
from realtime.errors import ProtocolError
from realtime.items import Item
from realtime.response_options import ResponseOptions
from tests.realtime.json_strategies import anything
from tests.realtime.official import check_beta
from tests.realtime.setups import Ids, make_setup
from tests.realtime.test_config import good_sessions
from tests.realtime.test_events import DESCRIBED, EVENTS, HEARD, PLACE, USED

SETUP = make_setup()
DEFAULTS = SessionConfig.initial(SETUP)


def renderer() -> Renderer:
    return Renderer("conv_1", Ids(), 0.9)


def render(event: dict[str, Any]) -> list[dict[str, Any]]:
    return renderer().render({"event_id": "event_9", **event})


def updated(session: dict[str, Any], config: SessionConfig = DEFAULTS) -> SessionConfig:
    event = normalized({"type": "session.update", "session": session})
    return config.updated(event["session"], setup=SETUP, extensions=True, audio_sent=False)


# --- which dialect


@pytest.mark.parametrize(
    ("headers", "subprotocols", "query", "dialect"),
    [
        ({}, [], {}, None),
        ({"OpenAI-Beta": "realtime=v1"}, [], {}, "beta"),
        ({"openai-beta": "assistants=v2, realtime=v1"}, [], {}, "beta"),
        ({"openai-beta": "assistants=v2"}, [], {}, None),
        ({}, ["realtime", "openai-beta.realtime-v1"], {}, "beta"),
        ({}, ["realtime", "openai-insecure-api-key.x"], {}, None),
        ({"openai-beta": "realtime=v1"}, [], {"dialect": "ga"}, "ga"),
        ({}, [], {"dialect": "beta"}, "beta"),
        ({}, [], {"dialect": "delta"}, None),
    ],
)
def test_the_handshake_says_which_dialect(headers, subprotocols, query, dialect):
    assert wants_beta(headers, subprotocols, query) == dialect


@pytest.mark.parametrize(
    ("event", "beta"),
    [
        ({"type": "session.update", "session": {"voice": "longyingcui"}}, True),
        ({"type": "session.update", "session": {"turn_detection": None}}, True),
        (
            {"type": "session.update", "session": {"modalities": ["text"], "type": "realtime"}},
            False,
        ),
        ({"type": "session.update", "session": {"instructions": "x"}}, False),
        ({"type": "session.update", "session": {"output_modalities": ["text"]}}, False),
        ({"type": "session.update", "session": None}, False),
        ({"type": "session.update"}, False),
        ({"type": "transcription_session.update"}, True),
        ({"type": "response.create", "session": {"voice": "x"}}, False),
        ({}, False),
    ],
)
def test_some_updates_come_from_clients_of_beta_alone(event, beta):
    assert is_beta_update(event) is beta


# --- what a client sends


def test_the_seeds_own_update_is_understood():
    config = updated(
        {
            "instructions": "你是一个友好的AI助手",
            "voice": "longxiaochun_v2",
            "modalities": ["text", "audio"],
            "input_audio_format": "pcm16",
            "output_audio_format": "mp3",
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "create_response": True,
            },
        }
    )
    assert config.instructions == "你是一个友好的AI助手"
    assert (config.modality, config.output_format) == ("audio", "mp3")
    assert config.detection is not None
    assert config.detection.silence_ms == 200
    assert updated({"turn_detection": {"type": "none"}}).detection is None


def test_every_flat_field_finds_its_place_and_what_ga_says_counts():
    flat = {
        "modalities": ["text"],
        "voice": "echo",
        "speed": 1.1,
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": None,
        "max_response_output_tokens": 9,
        "temperature": 0.7,
        "tools": [],
    }
    assert normalized_session(flat) == {
        "output_modalities": ["text"],
        "max_output_tokens": 9,
        "temperature": 0.7,
        "tools": [],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": None,
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": "echo", "speed": 1.1},
        },
    }
    both = normalized_session(
        {**flat, "output_modalities": ["audio"], "audio": {"output": {"voice": "alloy"}}}
    )
    assert both["output_modalities"] == ["audio"]
    assert both["audio"]["output"]["voice"] == "alloy"
    assert both["audio"]["output"]["speed"] == 1.1


def test_a_format_may_be_a_word_in_ga_as_well():
    assert normalized_session({"audio": {"input": {"format": "pcm16"}}}) == {
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}
    }


def test_responses_and_items_are_understood():
    assert normalized(
        {
            "type": "response.create",
            "event_id": "e",
            "response": {
                "modalities": ["text", "audio"],
                "voice": "echo",
                "output_audio_format": "pcm16",
                "max_response_output_tokens": "inf",
                "temperature": 0.8,
                "input": [{"type": "message", "role": "user", "content": [{"type": "text"}]}, 7],
            },
        }
    ) == {
        "type": "response.create",
        "event_id": "e",
        "response": {
            "output_modalities": ["text", "audio"],
            "max_output_tokens": "inf",
            "temperature": 0.8,
            "audio": {"output": {"voice": "echo", "format": {"type": "audio/pcm", "rate": 24000}}},
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text"}]}, 7],
        },
    }
    created = normalized(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "x"}, {"type": "audio"}, {"type": "else"}, 7],
            },
        }
    )
    kinds = [each["type"] for each in created["item"]["content"][:3]]
    assert kinds == ["output_text", "output_audio", "else"]


def test_a_transcription_session_is_set_by_an_event_of_its_own():
    event = normalized(
        {
            "type": "transcription_session.update",
            "session": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1", "language": "zh"},
            },
        }
    )
    assert event["type"] == "session.update"
    assert event["session"]["type"] == "transcription"
    setup = make_setup(kind="transcription", model="whisper-1")
    config = SessionConfig.initial(setup).updated(
        event["session"], setup=setup, extensions=True, audio_sent=False
    )
    assert config.language == "zh"
    session = events.session_updated(config.render(setup))
    (shown,) = render(session)
    assert shown["type"] == "transcription_session.updated"
    assert shown["session"]["input_audio_transcription"] == {
        "model": "whisper-1",
        "language": "zh",
    }
    assert "voice" not in shown["session"]
    # The package takes it for granted that it was made over HTTP, with a key in it.
    keyed = {**shown["session"], "client_secret": {"value": "ek_1", "expires_at": 1}}
    check_beta({**shown, "session": keyed})


TYPES = [
    *("session.update", "transcription_session.update", "conversation.item.create"),
    *("response.create", "response.cancel", "nothing"),
]
FLAT = [
    *("modalities", "voice", "turn_detection", "input_audio_format", "output_audio_format"),
    *("input_audio_transcription", "max_response_output_tokens", "audio", "input", "content"),
    *("role", "type", "speed"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES) | anything},
        optional=dict.fromkeys(
            ("session", "response", "item"),
            anything | st.dictionaries(st.sampled_from(FLAT), anything, max_size=4),
        ),
    )
)
def test_reading_breaks_at_nothing_and_changes_nothing_of_the_clients(event):
    before = copy.deepcopy(event)
    ga = normalized(event)
    assert repr(event) == repr(before)
    assert repr(normalized(ga)) == repr(ga)  # once is enough
    is_beta_update(event)


# --- what it is sent


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_events_are_of_the_official_types(event):
    for each in render(event):
        if each["type"] == "input_audio_buffer.timeout_triggered":
            continue  # GA's alone; clients of beta pass over it
        if each["type"] == "conversation.item.truncated":
            assert each["audio_end_ms"] == 1500
        check_beta(each)
        assert each["event_id"] == "event_9"


def test_the_renamed_events():
    names = {
        key: [each["type"] for each in render(EVENTS[key])]
        for key in ("text", "text done", "audio", "audio done", "transcript", "transcript done")
    }
    assert names == {
        "text": ["response.text.delta"],
        "text done": ["response.text.done"],
        "audio": ["response.audio.delta"],
        "audio done": ["response.audio.done"],
        "transcript": ["response.audio_transcript.delta"],
        "transcript done": ["response.audio_transcript.done"],
    }


def test_an_item_is_told_once_when_it_is_added():
    (created,) = render(events.item_added(HEARD, "item_0"))
    assert created["type"] == "conversation.item.created"
    assert created["previous_item_id"] == "item_0"
    assert render(events.item_done(HEARD, "item_0")) == []


def test_contents_have_betas_names_everywhere():
    reply = Item.typed("item_2", "assistant", "好").render()
    said = {**reply, "content": [{"type": "output_audio", "transcript": "好"}]}
    (done,) = render(events.output_item_done(PLACE, said))
    assert done["item"]["content"] == [{"type": "audio", "transcript": "好"}]
    (response,) = render(
        events.response_done(
            events.response_object(
                "resp_1", DESCRIBED, status="completed", output=[reply, said], usage=USED
            )
        )
    )
    shown = response["response"]
    assert [item["content"][0]["type"] for item in shown["output"]] == ["text", "audio"]
    assert shown["modalities"] == ["text", "audio"]
    assert (shown["voice"], shown["output_audio_format"]) == ("alloy", "pcm16")
    assert shown["temperature"] == 0.9
    assert "audio" not in shown
    assert "output_modalities" not in shown
    assert reply["content"] == [{"type": "output_text", "text": "好"}]  # GA's is as it was
    (user,) = render(events.item_added(HEARD, None))
    assert user["item"]["content"][0]["type"] == "input_audio"


def test_a_call_is_told_without_its_name():
    (done,) = render(EVENTS["arguments done"])
    assert "name" not in done
    assert done["arguments"] == "{}"


def test_the_conversation_follows_the_session():
    shown = DEFAULTS.render(SETUP)
    first, second = render(events.session_created(shown))
    assert first["type"] == "session.created"
    assert first["session"]["turn_detection"]["silence_duration_ms"] == 500
    assert first["session"]["input_audio_format"] == "pcm16"
    assert first["session"]["temperature"] == 0.9
    assert "audio" not in first["session"]
    assert "type" not in first["session"]
    assert second["type"] == "conversation.created"
    assert second["conversation"] == {"id": "conv_1", "object": "realtime.conversation"}
    assert second["event_id"] == "event_1"
    check_beta(second)
    (updated,) = render(events.session_updated(shown))
    assert updated["type"] == "session.updated"


def test_what_the_client_sets_is_shown_in_place_of_the_operators_temperature():
    chosen = updated({"temperature": 0.7})
    (session,) = render(events.session_updated(chosen.render(SETUP)))
    assert session["session"]["temperature"] == 0.7
    options = ResponseOptions.of(chosen).describe("conv_1")
    (response,) = render(events.response_created(events.response_object("resp_1", options)))
    assert response["response"]["temperature"] == 0.7
    (session,) = render(
        events.session_updated(updated({"temperature": None}, chosen).render(SETUP))
    )
    assert session["session"]["temperature"] == 0.9


def test_a_session_is_of_the_official_type():
    shown = {**DEFAULTS.render(SETUP), "model": "gpt-4o-realtime-preview"}
    for each in render(events.session_created(shown)):
        check_beta(each)


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        (
            "session.audio.input.turn_detection.threshold",
            "session.turn_detection.threshold",
        ),
        ("session.audio.output.voice", "session.voice"),
        ("session.audio.output.format.type", "session.output_audio_format"),
        ("response.audio.output.format", "response.output_audio_format"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("response.output_modalities", "response.modalities"),
        ("session.audio.input.transcription", "session.input_audio_transcription"),
        ("session.tools[3].name", "session.tools[3].name"),
        ("item.content[0].audio", "item.content[0].audio"),
        ("audio", "audio"),
        (None, None),
    ],
)
def test_errors_name_the_field_as_the_client_wrote_it(param, shown):
    (error,) = render(ProtocolError("invalid_value", "no", param=param).body("event_1"))
    assert error["error"]["param"] == shown
    assert error["error"]["event_id"] == "event_1"


@settings(max_examples=150, deadline=None)
@given(st.lists(good_sessions, max_size=3))
def test_there_and_back_is_the_same_session(sessions):
    config = DEFAULTS
    for each in sessions:
        config = updated(each, config)
    there = beta_session(config.render(SETUP), 0.9)
    json.dumps(there, allow_nan=False)
    back = updated(there, DEFAULTS)
    expected = config.render(SETUP)
    expected.setdefault("temperature", 0.9)  # beta shows what is used
    assert back.render(SETUP) == expected


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["pcm16", "g711_ulaw", "mp3", "opus"]), st.sampled_from(["audio", "text"]))
def test_there_and_back_is_the_same_response(output_format, modality):
    options = ResponseOptions(modality=modality, voice="echo", output_format=output_format)
    (there,) = render(
        events.response_created(events.response_object("resp_1", options.describe("conv_1")))
    )
    fields = ("modalities", "voice", "output_audio_format")
    asked = {name: there["response"][name] for name in fields}
    back = normalized({"type": "response.create", "response": asked})["response"]
    parsed = ResponseOptions.parse(back, DEFAULTS, SETUP, extensions=True)
    assert (parsed.modality, parsed.voice, parsed.output_format) == (
        modality,
        "echo",
        output_format,
    )
