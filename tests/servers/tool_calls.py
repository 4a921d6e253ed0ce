"""The calls of functions of a loopback model, as OpenAI sends them and as others do."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

Calls = Sequence[Mapping[str, str]]
_PIECE = 6  # characters of arguments


def whole(calls: Calls) -> list[dict[str, Any]]:
    """Those of a message that is not streamed."""
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in calls
    ]


def pieces(calls: Calls, style: str) -> Iterator[list[dict[str, Any]]]:
    """The ``tool_calls`` of each chunk of a stream; see ``Behaviour.calls_as``."""
    if style in ("pieces", "together"):
        streams = [_streamed(number, call) for number, call in enumerate(whole(calls))]
        if style == "pieces":
            for stream in streams:
                for piece in stream:
                    yield [piece]
            return
        for turn in zip_longest(*streams):
            yield [piece for piece in turn if piece]
        return
    for number, call in enumerate(whole(calls)):
        if style == "bare":
            yield [{"function": call["function"]}]
        else:
            yield [{"index": 0 if style == "unnumbered" else number, **call}]


def _streamed(number: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call["function"]
    yield {"index": number, **call, "function": {"name": function["name"], "arguments": ""}}
    arguments = function["arguments"]
    for start in range(0, len(arguments), _PIECE):
        piece = arguments[start : start + _PIECE]
        yield {"index": number, "function": {"arguments": piece}}
