"""Every frame of a session, checked against the types that OpenAI publishes for it.

Beyond the types: what strict clients need (no unknown keys, no null where a key is to be
left out), and the rules of the protocol's order.
"""

import functools
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from openai.types.beta import realtime as beta
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from tests.realtime_clients.tap import Exchange

Dialect = Literal["ga", "beta"]

# OpenAI's own server sends more than its types name.
KNOWN_EXTRAS = {
    *("session.id", "session.object", "session.expires_at", "session.model"),
    *("session.prompt", "session.include", "session.turn_detection.idle_timeout_ms"),
    "response.usage.input_token_details.image_tokens",
    "response.usage.input_token_details.cached_tokens_details",
}
# Of the beta's ``output_audio_format``, by the contract.
EXTENSIONS = {"mp3", "wav", "opus", "aac", "flac"}
# A key with null makes one client or another drop the frame: it is to be left out.
NEVER_NULL = {"call_id", "name", "arguments", "role", "status", "id", "object", "type", "text"}
# Of a part that is announced; an item's content may hold ``transcript: null``.
NEVER_NULL_IN_PART = {"audio", "text", "transcript"}


@functools.cache
def _models(dialect: Dialect) -> dict[str, type[BaseModel]]:
    """Of each server event, by its type."""
    union = RealtimeServerEvent if dialect == "ga" else beta.RealtimeServerEvent
    found = {}
    for model in _members(union):
        for name in get_args(model.model_fields["type"].annotation):
            found[name] = model
    return found


def known_events(dialect: Dialect) -> set[str]:
    """Every type of server event that OpenAI's types list."""
    return set(_models(dialect))


def _members(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def parse(frame: str, kind: str, dialect: Dialect) -> BaseModel:
    """The event as OpenAI's own type, nothing converted. Raises where it does not fit."""
    assert kind in _models(dialect), f"{kind} is no event of {dialect}"
    return _models(dialect)[kind].model_validate_json(frame, strict=True)


def _extras(value: Any, path: str = "") -> Iterator[str]:
    """The keys that the types do not know."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}{name}"
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _extras(each, path)


def _nulls(value: Any, path: str = "") -> Iterator[str]:
    """Where null stands."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if each is None:
                yield f"{path}{name}"
            else:
                yield from _nulls(each, f"{path}{name}.")
    elif isinstance(value, list):
        for each in value:
            yield from _nulls(each, path)


def _forbidden(path: str) -> bool:
    names = path.split(".")
    first, last = names[0], names[-1]
    if first in ("session", "error"):
        return False
    if first == "part":
        return last in NEVER_NULL_IN_PART
    return last in NEVER_NULL or ".usage." in path or first == "rate_limits"


def _without_our_own(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event but for what the beta's types name in full, and we have more of.

    They list OpenAI's own models, and no format of audio that the contract adds.
    """
    plain = dict(event)
    for key in ("session", "response"):
        if key in plain:
            plain[key] = dict(plain[key])
            if "model" in plain[key]:
                plain[key]["model"] = "gpt-realtime"
            if plain[key].get("output_audio_format") in EXTENSIONS:
                plain[key]["output_audio_format"] = "pcm16"
    return plain


def check_frame(frame: str, event: Mapping[str, Any], dialect: Dialect) -> None:
    """One frame by itself."""
    if dialect == "beta":
        frame = json.dumps(_without_our_own(event))
    model = parse(frame, event["type"], dialect)
    unknown = set(_extras(model)) - KNOWN_EXTRAS
    assert not unknown, f"{event['type']} has unknown keys: {unknown}"
    nulls = [path for path in _nulls(event) if _forbidden(path)]
    assert not nulls, f"{event['type']} has null: {nulls}"


class Order:
    """What may follow what; fed with the events of one session."""

    def __init__(self, asked: Sequence[Mapping[str, Any]] = ()) -> None:
        self._asked = {each["event_id"] for each in asked if each.get("event_id")}
        self._ids: set[str] = set()
        self._created: dict[str, Mapping[str, Any]] = {}
        self._done: dict[str, Mapping[str, Any]] = {}
        self._items: set[str] = set()
        self._open: set[tuple[Any, ...]] = set()
        self._said: dict[tuple[Any, ...], str] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        assert event["event_id"], kind
        assert event["event_id"] not in self._ids, "an event_id twice"
        assert self._ids or kind == "session.created", f"{kind} is the first event"
        self._ids.add(event["event_id"])
        if kind == "error":
            assert event["error"]["message"]
            cause = event["error"]["event_id"]
            assert cause is None or cause in self._asked, f"an error about {cause}"
        elif kind.startswith("conversation.item."):
            self._take_item(kind, event)
        elif kind.startswith("response."):
            self._take_response(kind, event)

    def _take_item(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind in ("conversation.item.added", "conversation.item.created"):
            previous = event.get("previous_item_id")
            assert previous is None or previous in self._items, f"{previous} was never added"
            assert event["item"]["id"] not in self._items, "an item twice"
            self._items.add(event["item"]["id"])
        elif kind == "conversation.item.done":
            assert event["item"]["id"] in self._items
        elif kind == "conversation.item.deleted":
            self._items.remove(event["item_id"])

    def _take_response(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind == "response.created":
            response = event["response"]
            assert response["id"] not in self._created
            if response.get("conversation_id"):
                active = [id_ for id_ in self._active() if self._created[id_]["conversation_id"]]
                assert not active, "two responses at once in the conversation"
            self._created[response["id"]] = response
            return
        if kind == "response.done":
            self._end(event["response"])
            return
        response_id = event["response_id"]
        assert response_id in self._active(), f"{kind} of a response that is not active"
        place = (response_id, event["output_index"])
        part = (*place, event.get("content_index"))
        match kind.removeprefix("response."):
            case "output_item.added":
                self._open.add(place)
            case "output_item.done":
                self._open.remove(place)
                assert event["item"]["status"] in ("completed", "incomplete")
            case "content_part.added":
                assert place in self._open
                self._open.add(part)
            case "content_part.done":
                self._open.remove(part)
            case name if name.endswith(".delta"):
                assert place in self._open
                stream = (*part, name.removesuffix(".delta"))
                self._said[stream] = self._said.get(stream, "") + event["delta"]
            case name if name.endswith(".done"):
                self._check_whole((*part, name.removesuffix(".done")), event)

    def _check_whole(self, stream: tuple[Any, ...], event: Mapping[str, Any]) -> None:
        for key in ("text", "transcript", "arguments"):
            if key in event:
                assert event[key] == self._said.get(stream, ""), f"deltas of {stream} add up"

    def _active(self) -> set[str]:
        return self._created.keys() - self._done.keys()

    def _end(self, response: Mapping[str, Any]) -> None:
        assert response["id"] in self._active(), "a response ended that was not active"
        mine = {each for each in self._open if each[0] == response["id"]}
        assert not mine, f"still open: {mine}"
        assert response["status"] != "in_progress"
        if response["status"] in ("cancelled", "incomplete", "failed"):
            assert response["status_details"]["type"] == response["status"]
        self._done[response["id"]] = response
        usage = response["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]

    def finish(self) -> None:
        """The session has ended, and nothing was left under way."""
        assert self._ids, "not one event"
        assert not self._active(), f"responses never ended: {self._active()}"


def check_session(exchange: Exchange, dialect: Dialect = "ga") -> None:
    """All that a server said in a session; with ``dialect`` as it was at its end.

    The first event may be GA's in either: a client can turn to beta by its first update.
    """
    order = Order(exchange.client_events)
    for number, frame in enumerate(exchange.frames):
        event = json.loads(frame)
        first = number == 0 and "type" in event.get("session", {})
        check_frame(frame, event, "ga" if first else dialect)
        order.take(event)
    order.finish()
