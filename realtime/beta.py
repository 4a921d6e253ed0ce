"""The beta dialect of the protocol, at the edge: inside, everything is GA's.

What a client sends is read in either spelling, whatever it speaks; see `normalized`. What it
is sent is put into beta's words by a `Renderer`. Nothing here checks anything: what has a
wrong type is handed on as it is, for those who read it to refuse.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from realtime.audio_formats import beta_format, ga_format

Dialect = Literal["ga", "beta"]
Event = dict[str, Any]

SUBPROTOCOL = "openai-beta.realtime-v1"

_HEADER, _MARK = "openai-beta", "realtime=v1"
_FLAT = frozenset(
    {
        "modalities",
        "voice",
        "turn_detection",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "max_response_output_tokens",
        "temperature",
    }
)
_RENAMED_EVENTS = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_RENAMED_CONTENT = {"output_text": "text", "output_audio": "audio"}
# Where beta has a field flat that GA has deep.
_INPUT = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}
_OUTPUT = {"output_audio_format": "format", "voice": "voice", "speed": "speed"}
_TOP = {
    "modalities": "output_modalities",
    "max_response_output_tokens": "max_output_tokens",
}


def wants_beta(
    headers: Mapping[str, str], subprotocols: Iterable[str], query: Mapping[str, str]
) -> Dialect | None:
    """The dialect that a handshake asks for; None where it does not say.

    Args:
        headers: Of the request, names in any case.
        subprotocols: As offered.
        query: Of the URL; ``dialect`` overrides all else.
    """
    asked = query.get("dialect")
    if asked == "ga":
        return "ga"
    marked = any(name.lower() == _HEADER and _MARK in headers[name] for name in headers)
    if asked == "beta" or marked or SUBPROTOCOL in subprotocols:
        return "beta"
    return None


def is_beta_update(event: Mapping[str, Any]) -> bool:
    """Whether a client event, as it came, is one that only clients of the beta dialect send."""
    if event.get("type") == "transcription_session.update":
        return True
    session = event.get("session")
    if event.get("type") != "session.update" or not isinstance(session, Mapping):
        return False
    return "type" not in session and not _FLAT.isdisjoint(session)


# --- what a client sends


def normalized(event: Mapping[str, Any]) -> Event:
    """A client event in GA's shape, whichever it came in; where it has both, GA's counts.

    The names of beta's fields are gone afterwards, but for ``temperature``, which GA does
    not have.
    """
    match event.get("type"):
        case "session.update":
            return _with(event, "session", normalized_session)
        case "transcription_session.update":
            hearing = _with(event, "session", normalized_session)
            if isinstance(hearing.get("session"), dict):
                hearing["session"] = {**hearing["session"], "type": "transcription"}
            return {**hearing, "type": "session.update"}
        case "conversation.item.create":
            return _with(event, "item", _normalized_item)
        case "response.create":
            return _with(event, "response", _normalized_response)
    return dict(event)


def normalized_session(session: Mapping[str, Any]) -> Event:
    """The ``session`` of an update, of a query, or of a key that is asked for."""
    flat = {**_INPUT, **_OUTPUT, **_TOP}
    ga = {key: value for key, value in session.items() if key not in flat}
    for name, ga_name in _TOP.items():
        _adopt(ga, ga_name, session, name)
    _adopt_audio(ga, "input", session, _INPUT)
    _adopt_audio(ga, "output", session, _OUTPUT)
    return ga


def _normalized_response(response: Mapping[str, Any]) -> Event:
    flat = {**_OUTPUT, **_TOP}
    ga = {key: value for key, value in response.items() if key not in flat}
    for name, ga_name in _TOP.items():
        _adopt(ga, ga_name, response, name)
    _adopt_audio(ga, "output", response, _OUTPUT)
    if isinstance(ga.get("input"), list):
        ga["input"] = [
            _normalized_item(each) if isinstance(each, Mapping) else each for each in ga["input"]
        ]
    return ga


def _normalized_item(item: Mapping[str, Any]) -> Event:
    content = item.get("content")
    if not isinstance(content, list):
        return dict(item)
    prefix = "output_" if item.get("role") == "assistant" else "input_"
    return {
        **item,
        "content": [
            {**part, "type": prefix + part["type"]}
            if isinstance(part, Mapping) and part.get("type") in ("text", "audio")
            else part
            for part in content
        ],
    }


def _with(
    event: Mapping[str, Any], name: str, change: Callable[[Mapping[str, Any]], Event]
) -> Event:
    value = event.get(name)
    return {**event, name: change(value)} if isinstance(value, Mapping) else dict(event)


def _adopt(into: Event, ga_name: str, source: Mapping[str, Any], name: str) -> None:
    if name in source and ga_name not in into:
        into[ga_name] = source[name]


def _adopt_audio(ga: Event, side: str, source: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Put flat fields below ``audio.input`` or ``audio.output``; formats become objects."""
    audio = ga.get("audio")
    if audio is not None and not isinstance(audio, Mapping):
        return
    below = (audio or {}).get(side)
    if below is not None and not isinstance(below, Mapping):
        return
    merged = dict(below or {})
    for name, ga_name in names.items():
        _adopt(merged, ga_name, source, name)
    if "format" in merged:
        merged["format"] = ga_format(merged["format"])
    if merged:
        ga["audio"] = {**(audio or {}), side: merged}


# --- what it is sent


class Renderer:
    """Server events in beta's words, for one connection.

    Args:
        conversation_id: For ``conversation.created``.
        new_id: Makes its event id: ``new_id("event")``.
        temperature: What is used where the client asks for none: beta always shows one.
    """

    def __init__(
        self, conversation_id: str, new_id: Callable[[str], str], temperature: float
    ) -> None:
        self._conversation_id = conversation_id
        self._new_id = new_id
        self._temperature = temperature

    def render(self, event: Mapping[str, Any]) -> list[Event]:
        """What is sent in place of an event of GA: nothing, one event, or two."""
        kind = event["type"]
        match kind:
            case "session.created":
                return [self._session(event), self._conversation_created()]
            case "session.updated":
                return [self._session(event)]
            case "conversation.item.done":
                return []  # beta tells an item once, when it is added
            case "response.created" | "response.done":
                return [{**event, "response": self._response(event["response"])}]
            case "error":
                return [{**event, "error": _beta_error(event["error"])}]
        rendered = {**event, "type": _RENAMED_EVENTS.get(kind, kind)}
        if "item" in rendered:
            rendered["item"] = _beta_item(rendered["item"])
        if kind == "response.function_call_arguments.done":
            rendered.pop("name", None)
        return [rendered]

    def _session(self, event: Mapping[str, Any]) -> Event:
        session = event["session"]
        prefix = "transcription_" if session["type"] == "transcription" else ""
        shown = beta_session(session, self._temperature)
        return {**event, "type": prefix + event["type"], "session": shown}

    def _response(self, response: Mapping[str, Any]) -> Event:
        ga_only = ("audio", "output_modalities", "output")
        beta = {key: value for key, value in response.items() if key not in ga_only}
        output = response["audio"]["output"]
        return {
            "temperature": self._temperature,
            **beta,
            "output": [_beta_item(item) for item in response["output"]],
            "modalities": _beta_modalities(response["output_modalities"]),
            "voice": output["voice"],
            "output_audio_format": beta_format(output["format"]),
        }

    def _conversation_created(self) -> Event:
        return {
            "type": "conversation.created",
            "event_id": self._new_id("event"),
            "conversation": {"id": self._conversation_id, "object": "realtime.conversation"},
        }


def beta_session(session: Mapping[str, Any], temperature: float) -> Event:
    """A session as beta shows it.

    Args:
        session: GA's whole one (``SessionConfig.render``).
        temperature: What is used where the session sets none.
    """
    ga_only = ("type", "audio", "output_modalities", "max_output_tokens", "truncation")
    beta = {key: value for key, value in session.items() if key not in ga_only}
    audio = session["audio"]
    beta |= {name: audio["input"][deep] for name, deep in _INPUT.items()}
    beta["input_audio_format"] = beta_format(audio["input"]["format"])
    if session["type"] == "transcription":
        return beta
    beta |= {name: audio["output"][deep] for name, deep in _OUTPUT.items()}
    beta["output_audio_format"] = beta_format(audio["output"]["format"])
    beta["modalities"] = _beta_modalities(session["output_modalities"])
    beta["max_response_output_tokens"] = session["max_output_tokens"]
    beta.setdefault("temperature", temperature)
    return beta


def _beta_modalities(output_modalities: Iterable[str]) -> list[str]:
    return ["text", "audio"] if "audio" in output_modalities else ["text"]


def _beta_item(item: Mapping[str, Any]) -> Event:
    if "content" not in item:
        return dict(item)
    content = [
        {**part, "type": _RENAMED_CONTENT.get(part["type"], part["type"])}
        for part in item["content"]
    ]
    return {**item, "content": content}


def _beta_error(error: Mapping[str, Any]) -> Event:
    """The path of the field as the client wrote it."""
    param = error.get("param")
    if not isinstance(param, str):
        return dict(error)
    head, _, path = param.partition(".")
    for side, names in (("audio.input.", _INPUT), ("audio.output.", _OUTPUT), ("", _TOP)):
        for name, deep in names.items():
            if f"{path}.".startswith(f"{side}{deep}."):
                rest = path[len(side) + len(deep) :]
                # A format is a word there, which has no fields.
                param = f"{head}.{name}" + ("" if deep == "format" else rest)
                return {**error, "param": param}
    return dict(error)
