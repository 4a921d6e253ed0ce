"""``docs/asyncapi.yaml`` says what the sockets take and send: no more, and no less."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from django.test import Client as DjangoClient
from jsonschema import Draft202012Validator

from chat.bus.base import Frame
from chat.failures import failure_code
from chat.messages import (
    AudioMessage,
    BadMessage,
    ErrorMessage,
    ReplyMessage,
    Say,
    parse_chat,
    parse_voice_chat,
)
from chat.renderers import ChatRenderer, VoiceChatRenderer
from chat.routing import websocket_urlpatterns
from chat.selectors import TurnResult
from config import asyncapi
from uploads.fetch import Reason as FetchReason
from voice.audio.decode import AudioFault
from voice.errors import Reason


def nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from nodes(each)
    elif isinstance(node, list):
        for each in node:
            yield from nodes(each)


def carried(channel: str, action: str) -> list[Mapping[str, Any]]:
    found = asyncapi.messages(channel, action)
    assert found
    return found


def accepts(message: Mapping[str, Any], instance: Any) -> bool:
    root = {**message["payload"], "components": asyncapi.document()["components"]}
    Draft202012Validator.check_schema(message["payload"])
    return Draft202012Validator(root).is_valid(instance)


def described(channel: str, action: str, instance: Any) -> Mapping[str, Any]:
    """The one message that an instance is."""
    fitting = [each for each in carried(channel, action) if accepts(each, instance)]
    assert len(fitting) == 1, (instance, [each["title"] for each in fitting])
    return fitting[0]


def test_the_socket_description_is_whole():
    document = asyncapi.document()
    assert document["asyncapi"] == "3.0.0"
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {f"/{route.pattern}" for route in websocket_urlpatterns}
    used = set()
    for node in nodes(document):
        if reference := node.get("$ref"):
            assert asyncapi.resolve(node), reference
            used.add(reference.rpartition("/")[2])
        elif "description" in node and "content" not in node:
            assert node.get("x-zh"), node["description"]
    assert used >= set(document["components"]["schemas"])
    assert used >= set(document["components"]["messages"])
    for name, channel in document["channels"].items():
        inside = {asyncapi.resolve(each)["title"] for each in channel["messages"].values()}
        both = carried(name, "receive") + carried(name, "send")
        assert inside == {each["title"] for each in both}


def test_the_file_is_served_as_it_stands():
    answer = DjangoClient().get("/api/docs/sockets.yaml")
    assert yaml.safe_load(answer.content) == asyncapi.document()


TYPED = {each.__name__: each for each in (ErrorMessage, ReplyMessage, AudioMessage)}


@pytest.mark.parametrize("name", sorted(TYPED))
def test_messages_have_the_members_that_the_code_gives_them(name):
    sent = [each for channel in CHANNELS for each in carried(channel, "send")]
    payloads = [each["payload"] for each in sent if each["name"] == name]
    members = [set(payload["properties"]) for payload in payloads]
    always = [set(payload["required"]) for payload in payloads]
    assert set.union(*members) == set(TYPED[name].__annotations__)
    assert set.intersection(*always) == TYPED[name].__required_keys__
    if kinds := get_type_hints(TYPED[name]).get("type"):
        assert {each["properties"]["type"]["const"] for each in payloads} == set(get_args(kinds))
    assert {each["name"] for each in sent} == set(TYPED)


CHANNELS = {"chat": parse_chat, "voiceChat": parse_voice_chat}


@pytest.mark.parametrize("channel", CHANNELS)
def test_examples_are_what_they_are_examples_of(channel):
    for action in ("receive", "send"):
        for message in carried(channel, action):
            for example in message["examples"]:
                assert described(channel, action, example["payload"]) is message
                if action == "receive":
                    parsed = CHANNELS[channel](json.dumps(example["payload"]))
                    assert type(parsed).__name__ == message["name"]


def variations(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Messages with one member missing, or of every kind of value and at every edge."""
    whole = message["examples"][0]["payload"]
    for name, reference in message["payload"]["properties"].items():
        node = asyncapi.resolve(reference)
        values: list[Any] = [None, True, 1.5, "", " ", [], {}, "x", 0, -1, 1, 2, 3, "mp3", "midi"]
        values += ["x" * node[edge] for edge in ("minLength", "maxLength") if edge in node]
        values += ["x" * (node["maxLength"] + 1)] if "maxLength" in node else []
        values += [node["maximum"], node["maximum"] + 1] if "maximum" in node else []
        yield {key: value for key, value in whole.items() if key != name}
        yield from ({**whole, name: value} for value in values)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_server_takes_what_the_description_allows_and_nothing_else(channel):
    parse = CHANNELS[channel]
    taken = {True: 0, False: 0}
    for message in carried(channel, "receive"):
        for instance in variations(message):
            allowed = any(accepts(each, instance) for each in carried(channel, "receive"))
            try:
                parse(json.dumps(instance))
            except BadMessage:
                assert not allowed, instance
            else:
                assert allowed, instance
            taken[allowed] += 1
    assert min(taken.values()) > 10


def result(**changes: Any) -> TurnResult:
    values: dict[str, Any] = {
        **{field.name: "" for field in fields(TurnResult)},
        "turn_id": 1,
        "role_id": 8,
        "conversation_id": 3,
        "reply_id": 5,
        "state": "completed",
        "reply_modality": "text",
        "reply_text": "你好，世界。",
    }
    return TurnResult(**{**values, **changes})


SPOKEN = {"reply_modality": "voice", "reply_path": "/uploads/1.mp3"}
ENDS = [
    result(),
    result(**SPOKEN),
    result(state="cancelled"),
    result(state="cancelled", **SPOKEN),
    result(state="cancelled", reply_id=None, reply_text=""),
    result(state="failed", error="asr:silent", error_code=400),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: f"{end.state}-{end.reply_modality}")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client_id", ["", "m1"])
@pytest.mark.parametrize("channel", CHANNELS)
async def test_every_message_of_a_turn_is_described(channel, client_id, stream, end):
    say = Say(8, "", "/uploads/0.mp3", None, client_id, stream, None)
    renderer = ChatRenderer(say, "http://h") if channel == "chat" else VoiceChatRenderer(say)
    data: dict[str, str | bytes] = {"transcript": "问", "text": "你好", "audio": b"\xff\xfb"}
    told: list[Any] = [renderer.broken()]
    for number, kind in enumerate(sorted(renderer.wanted)):
        told += renderer.frame(Frame(1, number, kind, data[kind]))
    told += await renderer.end(end)
    for message in told:
        kind = described(channel, "send", message)
        extras = asyncapi.Page(chinese=False)._message(kind)
        if not client_id and not stream and end.state != "cancelled":
            assert not extras.extension
            assert not [f.name for f in extras.fields if f.extension and f.name in message]


def test_error_codes_are_those_that_failures_have():
    for name in ("chat", "voiceChat"):
        for message in carried(name, "send"):
            if code := message["payload"]["properties"].get("code"):
                codes = set(asyncapi.resolve(code)["enum"])
    reasons = [("turn", each) for each in ("internal", "lost", "timeout", "unavailable")]
    reasons += [("asr", each) for each in ("silent", "too_long", *get_args(Reason))]
    reasons += [("audio", f"decode/{each}") for each in get_args(AudioFault)]
    reasons += [("audio", f"fetch/{each}") for each in get_args(FetchReason)]
    reasons += [("audio", f"storage/{each}") for each in ("missing", "unavailable")]
    assert {failure_code(stage, reason) for stage, reason in reasons} == codes
