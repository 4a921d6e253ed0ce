"""The official package's own types, applied to what we send: strictly, and nothing beside them."""

import json
from typing import Any, get_args

from openai.types import realtime as ga
from openai.types.beta import realtime as beta
from pydantic import BaseModel

from realtime.errors import ProtocolError

# What is on the wire, by OpenAI's own documentation, though the package's types leave it out.
_KNOWN_EXTRAS = {
    "object",
    "id",
    "expires_at",
    "include",
    "prompt",
    "idle_timeout_ms",
    "image_tokens",
    "cached_tokens_details",
    "temperature",
    "create_response",
    "interrupt_response",
    "input_audio_noise_reduction",
}
# Everywhere else a field that is not there is left out: strict clients drop the frame else.
_NULLS = {
    "previous_item_id",
    "transcript",
    "audio",
    "status_details",
    "metadata",
    "usage",
    "code",
    "param",
    "event_id",
    "conversation_id",
    # of a session
    "include",
    "tracing",
    "prompt",
    "turn_detection",
    "transcription",
    "noise_reduction",
    "input_audio_transcription",
    "input_audio_noise_reduction",
    "idle_timeout_ms",
}


def check_ga(event: dict[str, Any]) -> BaseModel:
    """The event as the official type of GA; an id is made up where it has none yet."""
    return _check(event, _GA)


def check_beta(event: dict[str, Any]) -> BaseModel:
    """The same for the beta dialect."""
    return _check(event, _BETA)


def check_refusal(error: ProtocolError, param: str) -> None:
    """A refusal of a field below ``param`` that quotes nothing long."""
    assert error.code in {"invalid_value", "missing_required_parameter", "unsupported_value"}
    assert (error.param or "").startswith(param), error.param
    assert len(str(error)) < 500
    json.dumps(error.body("event_1")).encode()
    check_ga(error.body("event_1"))


def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    members = get_args(get_args(union)[0])
    return {get_args(each.model_fields["type"].annotation)[0]: each for each in members}


_GA = _by_type(ga.RealtimeServerEvent)
_BETA = _by_type(beta.RealtimeServerEvent)


def _check(event: dict[str, Any], types: dict[str, type[BaseModel]]) -> BaseModel:
    whole = {"event_id": "event_0123456789abcdef", **event}
    parsed = types[event["type"]].model_validate(whole, strict=True)
    _no_extras(parsed, event["type"])
    _no_nulls(whole, event["type"])
    return parsed


def _no_extras(value: Any, path: str) -> None:
    if isinstance(value, BaseModel):
        strange = set(value.model_extra or {}) - _KNOWN_EXTRAS
        assert not strange, f"{path} has {strange}"
        for name in type(value).model_fields:
            _no_extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for each in value:
            _no_extras(each, path)


def _no_nulls(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "tracing" or name == "prompt" or name == "parameters":
                continue  # the client's own
            assert each is not None or name in _NULLS, f"{path}.{name} is null"
            assert not name.endswith("_ms") or each is None or type(each) is int, name
            _no_nulls(each, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for each in value:
            _no_nulls(each, path)
