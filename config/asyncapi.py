"""``docs/asyncapi.yaml`` as the page ``/api/docs/sockets`` shows it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

PATH = Path(settings.BASE_DIR) / "docs" / "asyncapi.yaml"

Node = Mapping[str, Any]
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Item:
    """Something with a name and words about it: a status, a close code, a credential."""

    name: str
    words: SafeString


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a message."""

    name: str
    values: str
    required: bool
    extension: bool
    words: SafeString


@dataclass(frozen=True, slots=True)
class Message:
    """A message with its members and examples."""

    title: str
    words: SafeString
    extension: bool
    fields: list[Field]
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Channel:
    """A socket: what clients send, what the server sends, how it begins and ends."""

    address: str
    title: str
    words: SafeString
    received: list[Message]
    sent: list[Message]
    handshake: list[Item]
    close: list[Item]


@cache
def document() -> Node:
    """The description as it stands in the file."""
    loaded: Node = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return loaded


def resolve(node: Node) -> Node:
    """The node itself, or the one that its ``$ref`` leads to within the document."""
    while reference := node.get("$ref"):
        node = document()
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
    return node


def messages(channel: str, action: str) -> list[Node]:
    """What a channel's operation carries; ``receive`` and ``send`` are the server's."""
    return [
        resolve(message)
        for operation in document()["operations"].values()
        if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{channel}"
        for message in operation["messages"]
    ]


class Page:
    """The description in one language.

    Args:
        chinese: Chinese, else English.
    """

    def __init__(self, *, chinese: bool) -> None:
        self._words_in, self._title_in = (
            ("x-zh", "x-zh-title") if chinese else ("description", "title")
        )
        self.words = self._words(document()["info"])

    def credentials(self) -> Iterator[Item]:
        for scheme in document()["components"]["securitySchemes"].values():
            yield Item(scheme.get("name", "Authorization"), self._words(scheme))

    def channels(self) -> Iterator[Channel]:
        for name, node in document()["channels"].items():
            yield Channel(
                address=node["address"],
                title=node[self._title_in],
                words=self._words(node),
                received=[self._message(each) for each in messages(name, "receive")],
                sent=[self._message(each) for each in messages(name, "send")],
                handshake=self._items(node["x-handshake"], "status"),
                close=self._items(node["x-close"], "code"),
            )

    def _items(self, nodes: list[Node], name: str) -> list[Item]:
        return [Item(str(node[name]), self._words(node)) for node in nodes]

    def _message(self, node: Node) -> Message:
        payload = node["payload"]
        return Message(
            title=node[self._title_in],
            words=self._words(node),
            extension=node.get("x-extension", False),
            fields=[
                self._field(name, resolve(field), name in payload["required"])
                for name, field in payload["properties"].items()
            ],
            examples=[
                json.dumps(example["payload"], ensure_ascii=False) for example in node["examples"]
            ],
        )

    def _field(self, name: str, node: Node, required: bool) -> Field:
        extension = node.get("x-extension", False)
        return Field(name, _values(node), required, extension, self._words(node))

    def _words(self, node: Node) -> SafeString:
        """Escaped; what stands between backticks is code."""
        text = escape(node.get(self._words_in, ""))
        return mark_safe(_CODE.sub(r"<code>\1</code>", text))  # noqa: S308


def _values(node: Node) -> str:
    """What a member may be, in few signs: ``"text"``, ``0 | 1 | 2``, ``string 1–64``."""
    if "const" in node:
        return json.dumps(node["const"])
    if "enum" in node:
        return " | ".join(json.dumps(value) for value in node["enum"])
    kind, *others = node["type"] if isinstance(node["type"], list) else [node["type"]]
    if "maxLength" in node:
        kind += f" {node['minLength']}–{node['maxLength']}"
    elif "minimum" in node:
        kind += f" ≥ {node['minimum']}"
    return " | ".join([kind, *others])
