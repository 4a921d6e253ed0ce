"""The items of a conversation as a language model is shown them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chat.llm.base import PromptMessage, ToolCall
from realtime.items import Item


def prompt_messages(items: Iterable[Item]) -> tuple[PromptMessage, ...]:
    """What was said and called, in order.

    Of a reply that was cut, only what was heard; what says nothing, or is not understood
    yet, is left out. Models want a call and its output side by side, and never one without
    the other: an output goes to its call, however much later it came; a call that has none
    yet, and an output whose call nobody knows, are left out.
    """
    items = list(items)
    outputs = {item.call_id: item.output for item in items if item.kind == "function_call_output"}
    messages: list[PromptMessage] = []
    called: set[str] = set()
    calls: list[ToolCall] = []  # of one reply, not added yet
    answered = False  # one of them has its output: a call that comes now is of the next reply
    for item in items:
        text = item.prompt_text if item.kind == "message" else ""
        ends = bool(text.strip()) or (answered and item.kind == "function_call")
        if ends:
            _add_calls(messages, calls, outputs)
            calls, answered = [], False
        if item.kind == "function_call_output":
            answered = answered or any(call.id == item.call_id for call in calls)
        elif item.kind == "message" and ends:
            messages.append(PromptMessage(item.role or "user", text))
        elif (
            item.kind == "function_call" and item.call_id in outputs and item.call_id not in called
        ):
            called.add(item.call_id)
            calls.append(ToolCall(item.call_id, item.name, item.arguments or "{}"))
    _add_calls(messages, calls, outputs)
    return tuple(messages)


def _add_calls(
    messages: list[PromptMessage], calls: Sequence[ToolCall], outputs: dict[str, str]
) -> None:
    """Add the calls of one reply, to its words where it has any, and what came of them."""
    if not calls:
        return
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        messages[-1] = replace(messages[-1], tool_calls=tuple(calls))
    else:
        messages.append(PromptMessage("assistant", "", tool_calls=tuple(calls)))
    messages.extend(PromptMessage("tool", outputs[call.id], tool_call_id=call.id) for call in calls)
