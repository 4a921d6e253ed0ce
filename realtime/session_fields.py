"""Single fields of ``session.update``, which ``response.create`` has in part as well.

Each raises ProtocolError for a value that will not do, and takes null for its default.
"""

from collections.abc import Mapping
from typing import Any, Literal

from realtime.errors import invalid
from realtime.fields import Fields
from realtime.setup import Setup

Modality = Literal["audio", "text"]

LONGEST_INSTRUCTIONS = 100_000  # characters
MOST_TOKENS = 4_096

_INCLUDED = "item.input_audio_transcription.logprobs"


def parse_voice(audio: Fields, setup: Setup) -> str:
    """The ``voice`` field, a string or ``{id}``; null is empty: the character's own."""
    value = audio.get("voice")
    if value is None:
        return ""
    name = value.get("id") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or not (name in setup.voices or name == setup.character.voice):
        raise invalid(audio.at("voice"), "a voice of this server")
    return name


def parse_modality(fields: Fields, default: Modality) -> Modality:
    """The ``output_modalities`` field: text beside audio is its transcript."""
    if fields.get("output_modalities") is None:
        return default
    asked = fields.items("output_modalities", most=2)
    if not asked or any(each not in ("audio", "text") for each in asked):
        raise invalid(fields.at("output_modalities"), "['audio'] or ['text']")
    return "audio" if "audio" in asked else "text"


def parse_max_tokens(fields: Fields, default: int | None, most: int | None) -> int | None:
    """The ``max_output_tokens`` field; None for ``inf``.

    Args:
        fields: Of a session or a response.
        default: Where it is absent.
        most: What the client's key allows; None where it is bound to nothing.
    """
    value = fields.get("max_output_tokens")
    if value is None:
        return default
    if value == "inf" and most is None:
        return None
    if isinstance(value, str):
        expected = f"1 to {MOST_TOKENS}, or 'inf'" if most is None else f"1 to {most}"
        raise invalid(fields.at("max_output_tokens"), expected)
    return fields.integer("max_output_tokens", default=1, least=1, most=most or MOST_TOKENS)


def render_max_tokens(max_tokens: int | None) -> int | str:
    """The bound as sessions and responses show it."""
    return "inf" if max_tokens is None else max_tokens


def parse_temperature(fields: Fields, default: float | None) -> float | None:
    """The ``temperature`` field of the beta dialect."""
    if fields.get("temperature") is None:
        return default
    return fields.number("temperature", default=0.8, least=0.6, most=1.2)


def parse_prompt(fields: Fields) -> dict[str, Any] | None:
    """The ``prompt`` field: ``id`` and, where they were given, ``version``, ``variables``."""
    if fields.get("prompt") is None:
        return None
    asked = fields.inner("prompt")
    prompt: dict[str, Any] = {"id": asked.identifier("id")}
    if asked.get("version") is not None:
        prompt["version"] = asked.text("version", longest=64)
    if asked.get("variables") is not None:
        asked.inner("variables")  # an object
        prompt["variables"] = asked.json("variables")
    return prompt


def parse_transcription(audio: Fields, current: Mapping[str, str] | None) -> dict[str, str] | None:
    """The ``transcription`` field of ``session.audio.input``, merged into what there is."""
    if audio.get("transcription") is None:
        return None
    asked = audio.inner("transcription")
    merged = dict(current or {})
    for name, longest in (("model", 128), ("language", 35), ("prompt", 10_000)):
        if name not in asked:
            continue
        merged.pop(name, None)
        if text := asked.text(name, longest=longest, default=""):
            merged[name] = text
    return merged


def parse_include(fields: Fields) -> tuple[str, ...] | None:
    """The ``include`` field, as far as it names something known."""
    if fields.get("include") is None:
        return None
    return (_INCLUDED,) if _INCLUDED in fields.items("include", most=64) else ()


def parse_tracing(fields: Fields) -> Any:
    """The ``tracing`` field: ``auto``, or names for it."""
    value = fields.get("tracing")
    if value in (None, "auto"):
        return value
    asked = fields.inner("tracing")
    tracing: dict[str, Any] = {}
    for name in ("workflow_name", "group_id"):
        if asked.get(name) is not None:
            tracing[name] = asked.text(name, longest=512)
    if asked.get("metadata") is not None:
        tracing["metadata"] = asked.json("metadata")
    return tracing


def parse_truncation(fields: Fields) -> Any:
    """The ``truncation`` field: ``auto``, ``disabled`` or a ratio."""
    value = fields.get("truncation")
    if value is None or isinstance(value, str):
        return fields.choice("truncation", ("auto", "disabled"), default="auto")
    asked = fields.inner("truncation")
    kind = asked.choice("type", ("retention_ratio",), default="retention_ratio")
    ratio = asked.number("retention_ratio", default=1.0, least=0, most=1)
    truncation: dict[str, Any] = {"type": kind, "retention_ratio": ratio}
    limits = asked.inner("token_limits")
    if limits.get("post_instructions") is not None:
        most = limits.integer("post_instructions", default=0, least=0, most=10_000_000)
        truncation["token_limits"] = {"post_instructions": most}
    return truncation
