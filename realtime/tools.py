"""The functions that a client offers to the model."""

import json
import re
from typing import Any

from chat.llm.base import Tool
from realtime.errors import invalid, missing, unsupported
from realtime.fields import Fields

MOST_TOOLS = 128
MOST_CHARACTERS = 200_000  # of all tools together: every ``session.updated`` shows them

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORCED = "function:"
_MODES = ("auto", "none", "required")


def parse_tools(fields: Fields) -> tuple[Tool, ...]:
    """The ``tools`` field; null counts as none.

    Raises:
        ProtocolError: ``invalid_value``, ``missing_required_parameter``, or
            ``unsupported_value`` for tools that are no functions.
    """
    path = fields.at("tools")
    tools: dict[str, Tool] = {}
    for number, each in enumerate(fields.items("tools", most=MOST_TOOLS)):
        tool = _parse_tool(Fields(each, f"{path}[{number}]"), path)
        if tool.name in tools:
            raise invalid(f"{path}[{number}].name", "a name that no other tool has")
        tools[tool.name] = tool
    if sum(map(_length, tools.values())) > MOST_CHARACTERS:
        raise invalid(path, f"tools of at most {MOST_CHARACTERS} characters in all")
    return tuple(tools.values())


def _parse_tool(fields: Fields, path: str) -> Tool:
    kind = fields.get("type")
    if kind not in (None, "function"):
        if isinstance(kind, str):
            raise unsupported(path, "Only tools of type 'function' are supported")
        raise invalid(fields.at("type"), "'function'")
    parameters = fields.json("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise invalid(fields.at("parameters"), "a JSON schema")
    return Tool(
        name=_name(fields),
        description=fields.text("description", longest=16_384, default=""),
        parameters=parameters or {},
    )


def _length(tool: Tool) -> int:
    return len(tool.description) + len(json.dumps(tool.parameters, ensure_ascii=False))


def render_tools(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    """The tools as a session shows them."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        }
        for tool in tools
    ]


def parse_tool_choice(fields: Fields) -> str:
    """The ``tool_choice`` field as ``Prompt.tool_choice`` has it; null counts as ``auto``.

    Raises:
        ProtocolError: As `parse_tools`.
    """
    value = fields.get("tool_choice")
    if value is None:
        return "auto"
    if isinstance(value, str):
        return fields.choice("tool_choice", _MODES, default="auto")
    forced = fields.inner("tool_choice")
    if forced.get("type") not in (None, "function"):
        what = "Only the choice of a tool of type 'function' is supported"
        raise unsupported(fields.at("tool_choice"), what)
    # Chat Completions has the name one level deeper.
    return _FORCED + _name(forced.inner("function") if forced.get("function") else forced)


def render_tool_choice(choice: str) -> Any:
    """The choice as a session shows it: a string unless one function is forced."""
    if choice.startswith(_FORCED):
        return {"type": "function", "name": choice.removeprefix(_FORCED)}
    return choice


def effective_tool_choice(choice: str, tools: tuple[Tool, ...]) -> str:
    """The choice that can be put to a model: what is not offered cannot be forced."""
    if not tools:
        return "auto"
    forced = choice.removeprefix(_FORCED)
    if forced != choice and forced not in {tool.name for tool in tools}:
        return "auto"
    return choice


def _name(fields: Fields) -> str:
    name = fields.get("name")
    if name is None:
        raise missing(fields.at("name"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(fields.at("name"), "1 to 64 letters, digits, '_' or '-'")
    return name
