"""The formats of audio on the wire, by beta's short names; GA writes them as objects."""

from typing import Any, Literal, get_args

from realtime.errors import invalid
from realtime.fields import Fields

InputFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]
OutputFormat = Literal["pcm16", "g711_ulaw", "g711_alaw", "mp3", "wav", "opus", "aac", "flac"]

PCM_RATE = 24_000  # Hz; G.711 has 8 000

_TYPES: dict[str, OutputFormat] = {
    "audio/pcm": "pcm16",
    "audio/pcmu": "g711_ulaw",
    "audio/pcma": "g711_alaw",
}
_EXTENSIONS: dict[str, OutputFormat] = {
    f"audio/{name}": name for name in get_args(OutputFormat) if name not in _TYPES.values()
}
_NAMES: dict[str, str] = {name: kind for kind, name in {**_TYPES, **_EXTENSIONS}.items()}
STANDARD: tuple[InputFormat, ...] = get_args(InputFormat)


def ga_format(name: object) -> object:
    """GA's object for a short name; what is none is handed back."""
    if not isinstance(name, str) or name not in _NAMES:
        return name
    return render_format(name)


def render_format(name: str) -> dict[str, Any]:
    """The format as GA's sessions and responses show it."""
    rate = {"rate": PCM_RATE} if name == "pcm16" else {}
    return {"type": _NAMES[name], **rate}


def beta_format(value: object) -> object:
    """The short name for GA's object."""
    known = {**_TYPES, **_EXTENSIONS}
    return known.get(value.get("type", ""), "pcm16") if isinstance(value, dict) else value


def parse_input_format(audio: Fields, default: InputFormat) -> InputFormat:
    """The ``format`` field of ``session.audio.input``.

    Raises:
        ProtocolError: ``invalid_value``.
    """
    name = _parse(audio, default, extensions=False)
    return next(each for each in STANDARD if each == name)


def parse_output_format(audio: Fields, default: OutputFormat, *, extensions: bool) -> OutputFormat:
    """The ``format`` field of ``….audio.output``.

    Args:
        audio: That object.
        default: Where the field is absent, or null.
        extensions: Allow the formats that OpenAI does not have.

    Raises:
        ProtocolError: ``invalid_value``.
    """
    return _parse(audio, default, extensions=extensions)


def _parse(audio: Fields, default: OutputFormat, *, extensions: bool) -> OutputFormat:
    if audio.get("format") is None:
        return default
    known = {**_TYPES, **_EXTENSIONS} if extensions else _TYPES
    asked = audio.get("format")
    if not isinstance(asked, dict):
        raise invalid(audio.at("format"), f"an object whose type is one of {', '.join(known)}")
    fields = audio.inner("format")
    kind = fields.choice("type", tuple(known), default="audio/pcm")
    if kind == "audio/pcm" and fields.get("rate") not in (None, PCM_RATE):
        raise invalid(fields.at("rate"), f"{PCM_RATE}")
    return known[kind]
