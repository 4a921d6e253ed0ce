"""Orders and events of a live turn as plain values, for a bus. No Django.

An order is a dict by field, as its dataclasses nest; an event a list: its name, then its
fields. Both sides are of one version, so what does not fit exactly is an error.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from chat.engine.live_events import (
    AudioReady,
    CallArguments,
    CallBegins,
    CallEnds,
    Heard,
    HearingEvent,
    HearingFailed,
    ReplyEnded,
    ReplyEvent,
    ReplyFailed,
    SentenceReady,
    TextEnded,
    TextReady,
)
from chat.engine.order import ReplyOrder

T = TypeVar("T")

_EVENTS: dict[str, type[HearingEvent | ReplyEvent]] = {
    "heard": Heard,
    "hearing_failed": HearingFailed,
    "text": TextReady,
    "written": TextEnded,
    "sentence": SentenceReady,
    "audio": AudioReady,
    "call": CallBegins,
    "arguments": CallArguments,
    "call_ends": CallEnds,
    "ended": ReplyEnded,
    "failed": ReplyFailed,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}
_known: dict[type, dict[str, Any]] = {}  # the fields of dataclasses


def encode_order(order: ReplyOrder) -> dict[str, Any]:
    """An order as str, bytes, numbers, None, lists and dicts."""
    return cast(dict[str, Any], _encoded(order))


def decode_order(value: object) -> ReplyOrder:
    """What ``encode_order`` was given. Raises ValueError for anything else."""
    return _decoded_fields(ReplyOrder, value)


def encode_event(event: HearingEvent | ReplyEvent) -> list[Any]:
    """An event of a live turn as a list of plain values."""
    return [_NAMES[type(event)], *(getattr(event, name) for name in _types(type(event)))]


def decode_event(value: object) -> Any:
    """What ``encode_event`` was given: an event of the utterance or of a reply.

    Raises:
        ValueError: It is no such thing.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise ValueError("an event is a list that begins with its name")
    name, *values = value
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError("there is no event of that name")
    wanted = _types(kind)
    if len(values) != len(wanted):
        raise ValueError(f"{name} has {len(wanted)} fields, not {len(values)}")
    return kind(*map(_decoded, wanted.values(), values))


def _types(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass and what they hold."""
    if kind not in _known:
        hints = get_type_hints(kind)
        _known[kind] = {field.name: hints[field.name] for field in fields(kind)}
    return _known[kind]


def _encoded(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _encoded(getattr(value, name)) for name in _types(type(value))}
    if isinstance(value, tuple):
        return [_encoded(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _decoded_fields(kind: type[T], value: object) -> T:
    wanted = _types(kind)
    if not isinstance(value, Mapping) or value.keys() != wanted.keys():
        raise ValueError(f"these are not the fields of {kind.__name__}")
    return kind(**{name: _decoded(each, value[name]) for name, each in wanted.items()})


def _decoded(wanted: Any, value: Any) -> Any:
    """``value``, if it is what ``wanted`` says. Raises ValueError otherwise."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if is_dataclass(wanted) and isinstance(wanted, type):
        return _decoded_fields(wanted, value)
    if origin in (Union, types.UnionType):  # something or None
        (inner,) = (each for each in arguments if each is not types.NoneType)
        return None if value is None else _decoded(inner, value)
    if origin is tuple:
        return _decoded_tuple(arguments, value)
    if origin is Literal:
        fits = value in arguments
    elif origin is not None:  # a mapping, such as a schema
        fits = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    elif wanted is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = type(value) is wanted
    if not fits:
        raise ValueError(f"{type(value).__name__} where {wanted} is needed")
    return value


def _decoded_tuple(arguments: tuple[Any, ...], value: object) -> tuple[Any, ...]:
    values = value if isinstance(value, list | tuple) else None
    any_number = arguments[-1] is Ellipsis
    if values is None or not (any_number or len(values) == len(arguments)):
        raise ValueError(f"a list of {'any length' if any_number else len(arguments)} is needed")
    wanted = arguments[:1] * len(values) if any_number else arguments
    return tuple(map(_decoded, wanted, values))
