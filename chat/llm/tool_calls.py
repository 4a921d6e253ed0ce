"""Calls of functions as OpenAI's API has them, and as its imitators send them."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chat.llm.base import Prompt, PromptMessage, ToolCallDelta
from chat.llm.halves import Halves

_FORCED = "function:"


def tool_fields(prompt: Prompt) -> dict[str, Any]:
    """The fields of a request that offer the functions; none where there are none."""
    if not prompt.tools:
        return {}
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
            },
        }
        for tool in prompt.tools
    ]
    choice: Any = prompt.tool_choice
    if choice == "auto":  # what all servers do by themselves, and some take no word for
        return {"tools": tools}
    if choice.startswith(_FORCED):
        choice = {"type": "function", "function": {"name": choice.removeprefix(_FORCED)}}
    return {"tools": tools, "tool_choice": choice}


def message_fields(message: PromptMessage) -> dict[str, Any]:
    """A message of a prompt as a request has it."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


@dataclass(slots=True)
class _Call:
    index: int | None  # the server's
    id: str = ""
    name: str = ""
    untold: list[str] = field(default_factory=list)
    halves: Halves = field(default_factory=Halves)
    told: bool = False


class ToolCalls:
    """Puts the calls of one reply in order.

    The first call is told as it comes. Servers may send several side by side, so the pieces
    of further ones are kept until the reply ends. A call without an id is given one.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, piece: dict[str, Any]) -> Iterator[ToolCallDelta]:
        """Take an element of ``delta.tool_calls``; give what can be told by now."""
        function = piece.get("function") or {}
        call = self._call_of(piece, function)
        call.id = call.id or piece.get("id") or ""
        call.name = call.name or function.get("name") or ""
        if arguments := function.get("arguments"):
            whole = arguments if isinstance(arguments, str) else json.dumps(arguments)
            if text := call.halves.feed(whole):
                call.untold.append(text)
        if call is self._calls[0] and call.name:
            yield from self._told(0)

    def finish(self) -> Iterator[ToolCallDelta]:
        """The rest, when the reply has ended.

        Raises:
            ValueError: A call names no function.
        """
        for number, call in enumerate(self._calls):
            if not call.name:
                raise ValueError("a call without the name of a function")
            if rest := call.halves.finish():
                call.untold.append(rest)
            if call.untold or not call.told:
                yield from self._told(number)

    def _told(self, number: int) -> Iterator[ToolCallDelta]:
        call = self._calls[number]
        arguments = "".join(call.untold)
        call.untold.clear()
        if call.told:
            yield ToolCallDelta(number, arguments=arguments)
            return
        call.told = True
        call.id = call.id or f"call_{uuid.uuid4().hex[:24]}"
        yield ToolCallDelta(number, call.id, call.name, arguments)

    def _call_of(self, piece: dict[str, Any], function: dict[str, Any]) -> _Call:
        """The call that a piece belongs to; a new one where it begins it.

        Some servers give no index, or each call the same one.
        """
        index, given = piece.get("index"), piece.get("id")
        known = [call for call in self._calls if index is None or call.index == index]
        if known:
            call = known[-1]
            another = call.id != given if given and call.id else False
            nameless = index is None and not given and function.get("name") and call.name
            if not another and not nameless:
                return call
        self._calls.append(_Call(index))
        return self._calls[-1]
