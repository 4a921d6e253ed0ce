"""Every event that the session sends, read by the types of the openai package."""

from collections.abc import Mapping
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent

_UNION = get_args(RealtimeServerEvent)[0]
_MODELS = {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(_UNION)}


def check(event: Mapping[str, Any]) -> None:
    """The event is one of OpenAI's, with every field that its type wants."""
    assert isinstance(event["event_id"], str)
    assert event["event_id"]
    _MODELS[event["type"]].model_validate(event, strict=True)
