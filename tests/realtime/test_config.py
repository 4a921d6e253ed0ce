"""Settings of a session: what is merged, what is refused, and what is shown."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime import events
from realtime.config import SessionConfig
from realtime.errors import ProtocolError
from realtime.response_options import ResponseOptions
from realtime.setup import Setup
from tests.realtime.json_strategies import anything
from tests.realtime.official import check_ga, check_refusal
from tests.realtime.setups import CHARACTER, make_setup
from voice.ear.events import TurnDetection

SETUP = make_setup()
DEFAULTS = SessionConfig.initial(SETUP)


def update(
    session: Any,
    config: SessionConfig = DEFAULTS,
    *,
    setup: Setup = SETUP,
    extensions: bool = False,
    audio_sent: bool = False,
) -> SessionConfig:
    return config.updated(session, setup=setup, extensions=extensions, audio_sent=audio_sent)


def refusal(session: Any, config: SessionConfig = DEFAULTS, **options: Any) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as caught:
        update(session, config, **options)
    return caught.value.code, caught.value.param or ""


def hearing(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def speaking(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


# --- what is there from the beginning


def test_the_whole_session_is_shown_with_its_defaults():
    shown = DEFAULTS.render(SETUP)
    assert shown == {
        "type": "realtime",
        "object": "realtime.session",
        "id": SETUP.session_id,
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": CHARACTER.instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "prompt": None,
        "truncation": "auto",
        "include": None,
        "expires_at": 1_790_001_800,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "voice": "longxiaochun_v2",
                "speed": 1.0,
            },
        },
    }
    check_ga(events.session_created(shown))
    assert DEFAULTS.detection == TurnDetection()
    assert (DEFAULTS.create_response, DEFAULTS.interrupt_response) == (True, True)
    assert (DEFAULTS.instructions, DEFAULTS.idle_timeout_ms, DEFAULTS.language) == ("", None, "")


def test_the_clients_own_defaults_come_first_even_where_they_are_locked():
    setup = make_setup(
        session={"instructions": "短些。", "prompt": {"id": "1"}, **speaking(voice="echo")},
        locked=frozenset({"voice", "prompt"}),
    )
    config = SessionConfig.initial(setup)
    assert (config.voice, config.instructions, config.prompt) == ("echo", "短些。", {"id": "1"})
    with pytest.raises(ProtocolError) as caught:
        SessionConfig.initial(make_setup(session=speaking(speed=9)))
    assert caught.value.param == "session.audio.output.speed"


# --- merging


def test_fields_merge_deeply_and_what_is_absent_stays():
    config = update(hearing(turn_detection={"silence_duration_ms": 200}))
    config = update(hearing(transcription={"model": "whisper-1"}), config)
    config = update(hearing(turn_detection={"create_response": False}), config)
    config = update(hearing(transcription={"language": "zh-CN", "delay": "low"}), config)
    assert config.detection == TurnDetection(silence_ms=200)
    assert config.create_response is False
    assert config.interrupt_response is True
    assert config.transcription == {"model": "whisper-1", "language": "zh-CN"}
    assert config.language == "zh"
    assert update({}, config) == config


@pytest.mark.parametrize("off", [None, {"type": "none"}])
def test_turns_can_be_manual(off: Any):
    config = update(hearing(turn_detection=off))
    assert config.detection is None
    assert (config.create_response, config.interrupt_response) == (False, False)
    shown = config.render(SETUP)
    assert shown["audio"]["input"]["turn_detection"] is None
    check_ga(events.session_updated(shown))
    again = update(hearing(turn_detection={"threshold": 0.7}), config)
    assert again.detection == TurnDetection(threshold=0.7)


def test_another_type_of_turn_detection_starts_from_its_own_defaults():
    server = update(
        hearing(
            turn_detection={
                "type": "server_vad",
                "threshold": 0.9,
                "create_response": False,
                "idle_timeout_ms": 6000,
            }
        )
    )
    assert server.idle_timeout_ms == 6000
    semantic = update(hearing(turn_detection={"type": "semantic_vad"}), server)
    assert semantic.detection == TurnDetection("semantic_vad")
    assert (semantic.create_response, semantic.idle_timeout_ms) == (True, None)
    shown = semantic.render(SETUP)
    assert shown["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    check_ga(events.session_updated(shown))
    hasty = update(hearing(turn_detection={"eagerness": "high"}), semantic)
    assert hasty.detection == TurnDetection("semantic_vad", eagerness="high")
    back = update(hearing(turn_detection={"type": "server_vad"}), hasty)
    assert back.detection == TurnDetection()


def test_null_and_empty_clear():
    full = update(
        {
            "instructions": "x",
            "tools": [{"type": "function", "name": "look"}],
            "tool_choice": "required",
            "max_output_tokens": 5,
            "output_modalities": ["text"],
            "prompt": {"id": "1"},
            "tracing": "auto",
            "truncation": "disabled",
            "include": ["item.input_audio_transcription.logprobs", "else"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "m", "prompt": "p"},
                    "noise_reduction": {"type": "far_field"},
                    "turn_detection": {"idle_timeout_ms": 5000, "threshold": 0.1},
                },
                "output": {"format": {"type": "audio/pcma"}, "voice": "echo", "speed": 1.2},
            },
        }
    )
    check_ga(events.session_updated(full.render(SETUP)))
    assert full.include == ("item.input_audio_transcription.logprobs",)
    nulls = ("max_output_tokens", "output_modalities", "prompt", "tracing", "truncation")
    cleared = update(
        {
            **dict.fromkeys((*nulls, "include", "tool_choice")),
            "instructions": "",
            "tools": [],
            "audio": {
                "input": {
                    "format": None,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {"idle_timeout_ms": None, "threshold": None},
                },
                "output": dict.fromkeys(("format", "voice", "speed")),
            },
        },
        full,
    )
    assert cleared == DEFAULTS
    stays = update({"audio": None}, full)
    assert stays == full


def test_a_field_of_transcription_can_be_cleared_alone():
    config = update(hearing(transcription={"model": "m", "prompt": "p"}))
    assert update(hearing(transcription={"prompt": None}), config).transcription == {"model": "m"}
    assert update(hearing(transcription={}), config) == config
    assert update(hearing(transcription={})).transcription == {}


# --- who it is


def test_what_every_client_sends_back_is_accepted():
    shown = DEFAULTS.render(SETUP)
    assert update(shown) == DEFAULTS
    assert update(shown).instructions == ""  # still the character's own, not its copy
    assert update({"model": SETUP.model, "type": "realtime", "unknown": [1]}) == DEFAULTS
    assert update({"tracing": "auto"}).render(SETUP)["tracing"] == "auto"


def test_model_and_type_stay():
    assert refusal({"model": "gpt-else"}) == ("invalid_value", "session.model")
    assert refusal({"type": "transcription"}) == ("invalid_value", "session.type")
    assert refusal({"type": ["realtime"]}) == ("invalid_value", "session.type")


def test_a_voice_is_known_by_name_or_as_an_object():
    assert update(speaking(voice="echo")).voice == "echo"
    assert update(speaking(voice={"id": "shimmer"})).render(SETUP)["audio"]["output"]["voice"] == (
        "shimmer"
    )
    for unknown in ("nobody", "", {"id": 7}, {}, 7, ["echo"]):
        code, param = refusal(speaking(voice=unknown))
        assert (code, param) == ("invalid_value", "session.audio.output.voice")


def test_the_voice_stays_once_it_was_heard():
    told = ("cannot_update_voice", "session.audio.output.voice")
    assert refusal(speaking(voice="echo"), audio_sent=True) == told
    assert update(speaking(voice="longxiaochun_v2"), audio_sent=True).voice == "longxiaochun_v2"
    chosen = update(speaking(voice="echo"))
    assert update(speaking(voice="echo", speed=1.1), chosen, audio_sent=True).speed == 1.1
    assert refusal(speaking(voice=None), chosen, audio_sent=True) == told
    locked = make_setup(locked=frozenset({"voice"}))
    assert refusal(speaking(voice="echo"), setup=locked) == told
    assert update(speaking(voice="longxiaochun_v2"), setup=locked).voice == "longxiaochun_v2"


def test_a_key_that_is_bound_to_a_length_allows_shorter_answers_alone():
    bound = make_setup(session={"max_output_tokens": 200}, locked=frozenset({"max_output_tokens"}))
    begun = SessionConfig.initial(bound)
    assert begun.max_tokens == 200
    assert update({"max_output_tokens": 50}, begun, setup=bound).max_tokens == 50
    assert update({"max_output_tokens": None}, begun, setup=bound).max_tokens == 200
    for longer in (201, "inf"):
        told = refusal({"max_output_tokens": longer}, begun, setup=bound)
        assert told == ("invalid_value", "session.max_output_tokens")
    assert update({"max_output_tokens": "inf"}, begun).max_tokens is None


def test_another_character_brings_its_voice_and_instructions_unless_the_client_has_its_own():
    other = replace(CHARACTER, role_id=2, voice="alloy", instructions="你是薛宝钗。")
    setup = make_setup(character=other)
    switched = update({"prompt": {"id": "2"}}, setup=setup, audio_sent=True)
    assert switched.voice == "alloy"
    assert switched.render(setup)["instructions"] == "你是薛宝钗。"
    assert switched.render(setup)["prompt"] == {"id": "2"}
    chosen = update(speaking(voice="echo"))
    assert update({"prompt": {"id": "2"}}, chosen, setup=setup).voice == "echo"


def test_a_locked_prompt_stays():
    setup = make_setup(session={"prompt": {"id": "1"}}, locked=frozenset({"prompt"}))
    config = SessionConfig.initial(setup)
    assert refusal({"prompt": {"id": "2"}}, config, setup=setup) == (
        "invalid_value",
        "session.prompt",
    )
    assert refusal({"prompt": None}, config, setup=setup)[0] == "invalid_value"
    assert update({"prompt": {"id": "1"}}, config, setup=setup) == config


def test_a_prompt_keeps_its_version_and_variables():
    asked = {"id": "role:3", "version": "2", "variables": {"mood": "sad", "n": 3}}
    assert update({"prompt": {**asked, "else": 1}}).prompt == asked
    assert update({"prompt": {"id": "x", "version": None}}).prompt == {"id": "x"}
    assert refusal({"prompt": {}}) == ("missing_required_parameter", "session.prompt.id")
    assert refusal({"prompt": {"id": "x", "variables": [1]}})[1] == "session.prompt.variables"


# --- tools


def test_tools_have_no_more_than_so_many_characters_together():
    schema = {"type": "object", "description": "字" * 40_000}
    tools = [{"type": "function", "name": f"t{n}", "parameters": schema} for n in range(5)]
    assert len(update({"tools": tools[:4]}).tools) == 4
    with pytest.raises(ProtocolError) as caught:
        update({"tools": tools})
    assert (caught.value.code, caught.value.param) == ("invalid_value", "session.tools")


def test_tools_are_kept_in_order_and_shown_as_they_came():
    tools = [
        {"type": "function", "name": "look", "description": "d", "parameters": {"type": "object"}},
        {"name": "go-there_2"},
    ]
    config = update({"tools": tools, "tool_choice": {"type": "function", "name": "look"}})
    assert [tool.name for tool in config.tools] == ["look", "go-there_2"]
    assert config.tool_choice == "function:look"
    shown = config.render(SETUP)
    assert shown["tools"][0] == tools[0]
    assert shown["tool_choice"] == {"type": "function", "name": "look"}
    check_ga(events.session_updated(shown))
    nested = update({"tool_choice": {"type": "function", "function": {"name": "look"}}})
    assert nested.tool_choice == "function:look"


@pytest.mark.parametrize(
    ("tools", "code", "param"),
    [
        ([{"name": f"t{n}"} for n in range(129)], "invalid_value", "session.tools"),
        ([{"type": "mcp", "server_label": "x"}], "unsupported_value", "session.tools"),
        ([{"type": 7, "name": "x"}], "invalid_value", "session.tools[0].type"),
        ([{"type": "function"}], "missing_required_parameter", "session.tools[0].name"),
        ([{"name": "a b"}], "invalid_value", "session.tools[0].name"),
        ([{"name": "林"}], "invalid_value", "session.tools[0].name"),
        ([{"name": "x" * 65}], "invalid_value", "session.tools[0].name"),
        ([{"name": "a"}, {"name": "a"}], "invalid_value", "session.tools[1].name"),
        ([{"name": "a", "parameters": []}], "invalid_value", "session.tools[0].parameters"),
        ([{"name": "a", "parameters": {"x": float("nan")}}], "invalid_value", "…parameters"),
        ([{"name": "a", "parameters": {"x": 10**40}}], "invalid_value", "…parameters"),
        ([{"name": "a", "parameters": {"x": "y" * 70_000}}], "invalid_value", "…parameters"),
        ([{"name": "a", "description": 7}], "invalid_value", "session.tools[0].description"),
        (["look"], "invalid_value", "session.tools[0]"),
        ({"name": "a"}, "invalid_value", "session.tools"),
        ("look", "invalid_value", "session.tools"),
    ],
)
def test_tools_that_will_not_do(tools: Any, code: str, param: str):
    found = refusal({"tools": tools})
    assert found[0] == code
    assert found[1].endswith(param.removeprefix("…"))


def test_128_tools_are_taken():
    assert len(update({"tools": [{"name": f"t{n}"} for n in range(128)]}).tools) == 128


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        ("maybe", "invalid_value"),
        (7, "invalid_value"),
        ({"type": "mcp", "server_label": "x"}, "unsupported_value"),
        ({"type": "function"}, "missing_required_parameter"),
        ({"type": "function", "name": []}, "invalid_value"),
    ],
)
def test_choices_of_tools_that_will_not_do(choice: Any, code: str):
    assert refusal({"tool_choice": choice})[0] == code


# --- bounds


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (hearing(turn_detection={"threshold": 1.1}), "audio.input.turn_detection.threshold"),
        (hearing(turn_detection={"threshold": -0.1}), "audio.input.turn_detection.threshold"),
        (hearing(turn_detection={"threshold": "0.5"}), "audio.input.turn_detection.threshold"),
        (hearing(turn_detection={"threshold": True}), "audio.input.turn_detection.threshold"),
        (
            hearing(turn_detection={"threshold": float("nan")}),
            "audio.input.turn_detection.threshold",
        ),
        (
            hearing(turn_detection={"prefix_padding_ms": 5001}),
            "audio.input.turn_detection.prefix_padding_ms",
        ),
        (
            hearing(turn_detection={"prefix_padding_ms": 10**400}),
            "audio.input.turn_detection.prefix_padding_ms",
        ),
        (
            hearing(turn_detection={"silence_duration_ms": 49}),
            "audio.input.turn_detection.silence_duration_ms",
        ),
        (
            hearing(turn_detection={"silence_duration_ms": 300.5}),
            "audio.input.turn_detection.silence_duration_ms",
        ),
        (
            hearing(turn_detection={"create_response": 1}),
            "audio.input.turn_detection.create_response",
        ),
        (hearing(turn_detection={"type": "vad"}), "audio.input.turn_detection.type"),
        (
            hearing(turn_detection={"type": "semantic_vad", "eagerness": "very"}),
            "audio.input.turn_detection.eagerness",
        ),
        (hearing(turn_detection="server_vad"), "audio.input.turn_detection"),
        (hearing(turn_detection=[]), "audio.input.turn_detection"),
        (hearing(format={"type": "audio/pcm", "rate": 16000}), "audio.input.format.rate"),
        (hearing(format={"type": "audio/mp3"}), "audio.input.format.type"),
        (hearing(format="mp3"), "audio.input.format"),
        (hearing(transcription="whisper-1"), "audio.input.transcription"),
        (hearing(transcription={"language": 7}), "audio.input.transcription.language"),
        (hearing(noise_reduction={"type": "much"}), "audio.input.noise_reduction.type"),
        (speaking(speed=0.2), "audio.output.speed"),
        (speaking(speed=1.6), "audio.output.speed"),
        (speaking(format={"type": "audio/mp3"}), "audio.output.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 4097}, "max_output_tokens"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"output_modalities": []}, "output_modalities"),
        ({"output_modalities": ["video"]}, "output_modalities"),
        ({"output_modalities": "text"}, "output_modalities"),
        ({"instructions": {"a": 1}}, "instructions"),
        ({"instructions": "字" * 100_001}, "instructions"),
        ({"truncation": "some"}, "truncation"),
        (
            {"truncation": {"type": "retention_ratio", "retention_ratio": 2}},
            "truncation.retention_ratio",
        ),
        ({"tracing": 7}, "tracing"),
        ({"audio": []}, "audio"),
        ({"audio": {"input": "x"}}, "audio.input"),
    ],
)
def test_values_that_will_not_do_are_named_by_their_path(session: Any, param: str):
    before = DEFAULTS
    assert refusal(session) == ("invalid_value", f"session.{param}")
    assert before == SessionConfig.initial(SETUP)


@pytest.mark.parametrize("session", [None, [], "x", 7, True])
def test_a_session_is_an_object(session: Any):
    assert refusal(session) == ("invalid_value", "session")


def test_bounds_themselves_are_taken():
    config = update(
        {
            "max_output_tokens": 4096.0,
            **hearing(
                turn_detection={
                    "threshold": 0,
                    "prefix_padding_ms": 0,
                    "silence_duration_ms": 10_000,
                }
            ),
        }
    )
    assert config.detection == TurnDetection(threshold=0.0, prefix_ms=0, silence_ms=10_000)
    assert config.max_tokens == 4096
    check_ga(events.session_updated(config.render(SETUP)))
    assert update({"output_modalities": ["text", "audio"]}).modality == "audio"
    ratio = {"type": "retention_ratio", "retention_ratio": 0.5}
    limited = {**ratio, "token_limits": {"post_instructions": 100}}
    check_ga(events.session_updated(update({"truncation": limited}).render(SETUP)))


def test_a_voice_that_a_key_is_bound_to_stays_whoever_answers():
    own = CHARACTER.voice
    bound = make_setup(session=speaking(voice=own), locked=frozenset({"voice"}))
    other = replace(bound, character=replace(CHARACTER, role_id=2, voice="alloy"))
    begun = SessionConfig.initial(bound)
    for again in ({}, speaking(voice=own), speaking(voice=None)):
        same = update(again, begun, setup=bound)
        assert update({"prompt": {"id": "2"}}, same, setup=other).voice == own
    for changed in (speaking(voice="alloy"), {"prompt": {"id": "2"}, **speaking(voice="alloy")}):
        assert refusal(changed, begun, setup=other)[0] == "cannot_update_voice"
    options = ResponseOptions.parse({"prompt": {"id": "2"}}, begun, other, extensions=False)
    assert options.voice == own


# --- what only beta has


def test_temperature_and_other_formats_are_of_the_beta_dialect():
    assert update({"temperature": 0.7}).temperature is None
    config = update({"temperature": 0.7}, extensions=True)
    assert config.temperature == 0.7
    assert config.render(SETUP)["temperature"] == 0.7
    assert refusal({"temperature": 2}, extensions=True) == (
        "invalid_value",
        "session.temperature",
    )
    mp3 = update(speaking(format={"type": "audio/mp3"}), extensions=True)
    assert mp3.output_format == "mp3"
    assert refusal(hearing(format={"type": "audio/mp3"}), extensions=True)[0] == "invalid_value"


def test_a_session_begins_with_what_only_beta_has_if_its_key_was_made_so():
    session = {"temperature": 0.7, **speaking(format={"type": "audio/mp3"})}
    begun = SessionConfig.initial(make_setup(session=session, extensions=True))
    assert (begun.temperature, begun.output_format) == (0.7, "mp3")
    with pytest.raises(ProtocolError) as caught:
        SessionConfig.initial(make_setup(session=session))
    assert caught.value.param == "session.audio.output.format.type"
    assert SessionConfig.initial(make_setup(session={"temperature": 0.7})).temperature is None


# --- sessions that only hear


def test_a_transcription_session_hears_and_shows_only_that():
    setup = make_setup(kind="transcription", model="gpt-4o-transcribe")
    config = SessionConfig.initial(setup)
    assert config.transcription == {"model": "gpt-4o-transcribe"}
    assert config.create_response is False
    config = update(
        {
            "type": "transcription",
            "model": "else",
            "instructions": 7,
            "audio": {
                "input": {"transcription": {"language": "en-US"}, "turn_detection": None},
                "output": {"voice": "nobody"},
            },
        },
        config,
        setup=setup,
    )
    assert (config.language, config.detection) == ("en", None)
    shown = config.render(setup)
    assert "instructions" not in shown
    assert "output" not in shown["audio"]
    assert shown["object"] == "realtime.transcription_session"
    check_ga(events.session_updated(shown))
    assert update(hearing(transcription=None), config, setup=setup).transcription == {
        "model": "gpt-4o-transcribe"
    }
    assert SessionConfig.initial(make_setup(kind="transcription", model="")).transcription == {
        "model": "whisper-1"
    }
    assert refusal({"type": "realtime"}, config, setup=setup) == ("invalid_value", "session.type")


@pytest.mark.parametrize(
    ("language", "hint"),
    [("zh", "zh"), ("ZH_tw", "zh"), ("cmn-Hans", "zh"), ("en-GB", "en"), ("fr", ""), ("", "")],
)
def test_the_recogniser_is_told_of_the_languages_that_it_knows(language: str, hint: str):
    assert update(hearing(transcription={"language": language})).language == hint


# --- anything at all

turn_detections = (
    st.none()
    | st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": st.floats(0, 1),
            "prefix_padding_ms": st.integers(0, 5000),
            "silence_duration_ms": st.integers(50, 10_000),
            "idle_timeout_ms": st.none() | st.integers(1000, 600_000),
            "create_response": st.booleans(),
            "interrupt_response": st.booleans(),
        },
    )
    | st.fixed_dictionaries(
        {"type": st.just("semantic_vad")},
        optional={
            "eagerness": st.sampled_from(["low", "medium", "high", "auto"]),
            "create_response": st.booleans(),
        },
    )
)
formats = st.sampled_from(
    [{"type": "audio/pcm"}, {"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}]
)
good_sessions = st.fixed_dictionaries(
    {},
    optional={
        "instructions": st.text(max_size=20),
        "output_modalities": st.sampled_from([["audio"], ["text"]]),
        "max_output_tokens": st.just("inf") | st.integers(1, 4096),
        "tool_choice": st.sampled_from(["auto", "none", {"type": "function", "name": "a"}]),
        "tools": st.lists(st.sampled_from("abcd"), unique=True).map(
            lambda names: [{"type": "function", "name": name} for name in names]
        ),
        "temperature": st.floats(0.6, 1.2),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": turn_detections,
                        "format": formats,
                        "transcription": st.none()
                        | st.fixed_dictionaries({}, optional={"model": st.text(max_size=5)}),
                        "noise_reduction": st.none() | st.just({"type": "near_field"}),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {},
                    optional={
                        "voice": st.sampled_from(["alloy", "echo"]),
                        "speed": st.floats(0.25, 1.5),
                        "format": formats,
                    },
                ),
            },
        ),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(good_sessions, max_size=3), st.booleans())
def test_what_is_shown_can_be_sent_back(updates: list[Any], extensions: bool):
    config = DEFAULTS
    for session in updates:
        config = update(session, config, extensions=extensions)
    shown = config.render(SETUP)
    check_ga(events.session_updated(shown))
    json.dumps(shown, allow_nan=False).encode()
    # Voices that are the character's own are asked for by name then, which is the same.
    again = update(shown, DEFAULTS, extensions=extensions)
    assert again.render(SETUP) == shown
    assert update(shown, config, extensions=extensions, audio_sent=True).render(SETUP) == shown


NAMES = [
    "type",
    "model",
    "instructions",
    "output_modalities",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "temperature",
    "prompt",
    "tracing",
    "truncation",
    "include",
    "audio",
]
BELOW = [
    "format",
    "turn_detection",
    "transcription",
    "noise_reduction",
    "voice",
    "speed",
    "type",
    "threshold",
    "id",
    "rate",
    "idle_timeout_ms",
    "prefix_padding_ms",
    "silence_duration_ms",
    "eagerness",
    "create_response",
    "model",
]
hostile = st.dictionaries(
    st.sampled_from(NAMES),
    anything | st.dictionaries(st.sampled_from(BELOW), anything, max_size=3),
    max_size=3,
) | st.builds(
    lambda side, fields: {"audio": {side: fields}},
    st.sampled_from(["input", "output"]),
    st.dictionaries(
        st.sampled_from(BELOW),
        anything | st.dictionaries(st.sampled_from(BELOW), anything, max_size=3),
        max_size=3,
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile, st.booleans())
def test_nothing_that_a_client_sends_breaks_it(session: Any, extensions: bool):
    try:
        config = update(session, extensions=extensions)
    except ProtocolError as error:
        check_refusal(error, "session")
        return
    shown = config.render(SETUP)
    json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()
    check_ga(events.session_updated(shown))
