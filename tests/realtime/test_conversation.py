"""The order of items, and what is told of those that are not there."""

import json
from typing import Any

import pytest

from realtime import conversation
from realtime.conversation import MOST_TEXT, ItemList
from realtime.errors import ProtocolError
from realtime.items import Item


def typed(role: Any, value: str, item_id: str = "i") -> Item:
    return Item.typed(item_id, role, value)


def filled(*ids: str) -> ItemList:
    items = ItemList()
    for each in ids:
        items.append(typed("user", each, each))
    return items


def order(items: ItemList) -> list[str]:
    return [item.id for item in items]


def test_items_stand_where_they_are_put():
    items = ItemList()
    assert items.last_id is None
    assert items.insert(typed("user", "x", "b")) is None
    assert items.append(typed("user", "x", "d")) == "b"
    assert items.insert(typed("user", "x", "c"), "b") == "b"
    assert items.insert(typed("user", "x", "a"), "root") is None
    assert items.insert(typed("user", "x", "e"), "") == "d"
    assert order(items) == ["a", "b", "c", "d", "e"]
    assert items.previous_of("a") is None
    assert items.previous_of("c") == "b"
    assert (items.last_id, len(items), "c" in items, "z" in items) == ("e", 5, True, False)


@pytest.mark.parametrize("previous", ["nobody", 7, ["a"], {"id": "a"}, "x" * 10_000])
def test_an_unknown_item_before_is_refused(previous: Any):
    items = filled("a")
    with pytest.raises(ProtocolError) as caught:
        items.insert(typed("user", "x", "b"), previous)
    assert caught.value.code == "item_create_invalid_previous_item_id"
    assert caught.value.param == "previous_item_id"
    assert order(items) == ["a"]


def test_an_id_is_given_once():
    items = filled("a")
    with pytest.raises(ProtocolError) as caught:
        items.insert(typed("user", "other", "a"))
    assert caught.value.code == "item_create_duplicate_item_id"
    assert items.retrieve("a").text == "a"


def test_a_conversation_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversation, "MOST_ITEMS", 2)
    items = filled("a", "b")
    with pytest.raises(ProtocolError, match="at most 2 items"):
        items.insert(typed("user", "x", "c"))
    assert items.append(typed("assistant", "x", "c")) == "b"  # ours always find a place


def test_items_are_taken_out_and_looked_up():
    items = filled("a", "b", "c")
    assert items.delete("b").id == "b"
    assert order(items) == ["a", "c"]
    assert items.get("a") is not None
    assert items.get("b") is None


@pytest.mark.parametrize("item_id", ["x", None, 7, ["c"], {"a": 1}, "y" * 5_000, "\ud800"])
@pytest.mark.parametrize(
    ("verb", "doing"), [("retrieve", "retrieving"), ("delete", "deleting"), ("truncated", "trunc")]
)
def test_unknown_items_are_told_by_codes_that_clients_know(verb: str, doing: str, item_id: Any):
    with pytest.raises(ProtocolError, match=f"Error {doing}") as caught:
        getattr(filled("c"), verb)(item_id)
    assert caught.value.code == f"item_{verb.removesuffix('d')}_invalid_item_id"
    assert len(str(caught.value)) < 300
    json.dumps(caught.value.body("e"), ensure_ascii=False).encode()


def test_the_message_names_the_item_as_openai_does():
    with pytest.raises(ProtocolError) as caught:
        ItemList().retrieve("item_7")
    assert str(caught.value) == ("Error retrieving item: the item with id 'item_7' does not exist.")


def test_only_what_we_said_aloud_can_be_truncated():
    items = filled("a")
    items.append(Item.reply("b", aloud=True))
    assert items.truncated("b").id == "b"
    with pytest.raises(ProtocolError) as caught:
        items.truncated("a")
    assert caught.value.code == "invalid_value"


def test_clients_put_no_more_than_so_many_characters_there() -> None:
    items = ItemList()
    items.insert(Item.typed("a", "user", "字" * (MOST_TEXT - 3)))
    items.append(Item.typed("ours", "assistant", "字" * 1_000))
    items.insert(Item("b", "function_call_output", call_id="c", output="123"))
    with pytest.raises(ProtocolError) as caught:
        items.insert(Item.typed("c", "user", "字"))
    assert (caught.value.code, caught.value.param) == ("invalid_value", "item")
    assert "c" not in items
    items.delete("b")
    items.insert(Item.typed("c", "user", "字"))
