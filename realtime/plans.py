"""What is asked of the engine for a response."""

from collections.abc import Sequence

from chat.llm.base import PromptMessage
from chat.llm.tokens import estimate_tokens
from realtime.character import Character
from realtime.conversation import ItemList
from realtime.effects import ReplyPlan
from realtime.errors import invalid
from realtime.items import Item
from realtime.prompt_messages import prompt_messages
from realtime.response_options import ItemReference, ResponseOptions


def check_input(options: ResponseOptions, items: ItemList) -> None:
    """Whether every item that ``response.input`` refers to is there.

    Raises:
        ProtocolError: ``invalid_value``: one is not.
    """
    for number, each in enumerate(options.input or ()):
        if isinstance(each, ItemReference) and each.id not in items:
            raise invalid(f"response.input[{number}].id", "the id of an item")


def reply_plan(
    options: ResponseOptions,
    character: Character,
    items: ItemList,
    *,
    then: Sequence[PromptMessage] = (),
    without: Sequence[str] = (),
    preface: str = "",
    write: bool = True,
) -> ReplyPlan:
    """The plan of a reply to what stands in the conversation now.

    Args:
        options: Of the response.
        character: Who answers.
        items: The conversation.
        then: What is said after it.
        without: Items that are left out.
        preface: See `ReplyPlan`.
        write: The same.
    """
    if options.input is None:
        context = [item for item in items if item.id not in without]
    else:
        found = (_resolve(each, items) for each in options.input)
        context = [item for item in found if item is not None]
    own = options.instructions != character.instructions
    return ReplyPlan(
        character=character,
        messages=(*prompt_messages(context), *then),
        history=options.input is None,
        instructions=options.instructions if own else "",
        tools=options.tools,
        tool_choice=options.tool_choice,
        voice=options.voice if options.modality == "audio" else None,
        speed=options.speed,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        preface=preface,
        write=write,
    )


def prompt_tokens(plan: ReplyPlan | None) -> int:
    """What a plan costs, estimated: for a reply that did not live to count it."""
    if plan is None or not plan.write:
        return 0
    texts = [plan.character.instructions, plan.instructions]
    texts += [message.content for message in plan.messages]
    return sum(estimate_tokens(text) for text in texts)


def _resolve(each: Item | ItemReference, items: ItemList) -> Item | None:
    """It may have been deleted while the response waited."""
    return items.get(each.id) if isinstance(each, ItemReference) else each
