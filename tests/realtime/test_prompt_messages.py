"""The conversation as the model is shown it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.llm.base import PromptMessage, ToolCall
from realtime.conversation import ItemList
from realtime.items import Item
from realtime.prompt_messages import prompt_messages
from realtime.spoken import Spoken
from tests.realtime.setups import Ids


def typed(role: Any, value: str, item_id: str = "i") -> Item:
    return Item.typed(item_id, role, value)


def spoken(*sentences: str, written: str) -> Spoken:
    reply = Spoken(written)
    for sentence in sentences:
        reply.begin(sentence)
        reply.sound(500)
    return reply


def call(call_id: str, name: str = "look", **fields: Any) -> Item:
    item = {"type": "function_call", "call_id": call_id, "name": name, **fields}
    return Item.parse(item, Ids())


def output(call_id: str, value: str = "ok") -> Item:
    item = {"type": "function_call_output", "call_id": call_id, "output": value}
    return Item.parse(item, Ids())


def told(*items: Item) -> list[tuple[str, str]]:
    ordered = ItemList()
    for number, item in enumerate(items):
        item.id = f"i{number}"
        ordered.append(item)
    return [(each.role, each.content) for each in prompt_messages(ordered)]


def test_the_model_is_told_what_was_said_and_heard():
    cut = Item.reply("r", aloud=True)
    cut.spoken = spoken("头一句。", "第二句。", written="（笑）头一句。第二句。")
    cut.cut(700)
    whole = Item.reply("s", aloud=True)
    whole.spoken = spoken("好。", written="（点头）好。")
    assert told(
        typed("system", "下雨了"),
        typed("user", "你好"),
        cut,
        Item.heard("h", "再说"),
        whole,
        Item.heard("later"),  # nobody has understood it yet
        Item.heard("silence", ""),
        typed("user", "  "),
    ) == [
        ("system", "下雨了"),
        ("user", "你好"),
        ("assistant", "头一句。"),
        ("user", "再说"),
        ("assistant", "（点头）好。"),
    ]


def test_calls_stand_beside_their_outputs_and_never_alone():
    items = ItemList()
    for number, item in enumerate(
        [
            typed("user", "看看"),
            typed("assistant", "我看看。"),
            call("c1", arguments='{"at": 1}'),
            call("c2", "go"),
            call("lost"),
            typed("user", "快点"),
            output("c2", "went"),
            output("c1", "seen"),
            output("stranger"),
            call("c3"),
            output("c3", ""),
            call("c3", "twice"),
        ]
    ):
        item.id = f"i{number}"
        items.append(item)
    assert prompt_messages(items) == (
        PromptMessage("user", "看看"),
        PromptMessage(
            "assistant",
            "我看看。",
            tool_calls=(ToolCall("c1", "look", '{"at": 1}'), ToolCall("c2", "go", "{}")),
        ),
        PromptMessage("tool", "seen", tool_call_id="c1"),
        PromptMessage("tool", "went", tool_call_id="c2"),
        PromptMessage("user", "快点"),
        PromptMessage("assistant", "", tool_calls=(ToolCall("c3", "look", "{}"),)),
        PromptMessage("tool", "", tool_call_id="c3"),
    )


def test_one_call_after_another_is_two_messages():
    assert [
        each.role
        for each in _messages(call("a"), output("a"), call("b"), output("b"), typed("user", "x"))
    ] == ["assistant", "tool", "assistant", "tool", "user"]


def _messages(*items: Item) -> tuple[PromptMessage, ...]:
    ordered = ItemList()
    for number, item in enumerate(items):
        item.id = f"i{number}"
        ordered.append(item)
    return prompt_messages(ordered)


plain = st.sampled_from("abc").flatmap(
    lambda name: st.sampled_from(["call", "output", "user", "assistant"]).map(
        lambda kind: {"call": call, "output": output}.get(kind, lambda it: typed(kind, it))(name)
    )
)


@settings(max_examples=200, deadline=None)
@given(st.lists(plain, max_size=12))
def test_every_call_in_a_prompt_is_followed_by_its_outputs(items: list[Item]):
    waiting: list[str] = []
    seen: set[str] = set()
    for each in _messages(*items):
        if each.role == "tool":
            assert waiting.pop(0) == each.tool_call_id
            continue
        assert waiting == []
        waiting = [call.id for call in each.tool_calls]
        assert seen.isdisjoint(waiting)
        seen.update(waiting)
    assert waiting == []
