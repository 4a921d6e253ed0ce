"""The character's words, as far as they count, on their way to being stored."""

from realtime.conversation import ItemList
from realtime.effects import StoreReply
from realtime.items import Item
from realtime.outbox import Outbox


class SaidWords:
    """Has the character's messages stored, again whenever less or more of one counts.

    Args:
        outbox: Takes what is to be done.
        items: The conversation.
    """

    def __init__(self, outbox: Outbox, items: ItemList) -> None:
        self._outbox = outbox
        self._items = items
        self._stored: dict[str, StoreReply] = {}

    def store(self, item: Item) -> None:
        """Store what was said by an item, unless that is no news, or the item is gone."""
        if item.kind != "message" or item.role != "assistant" or item.id not in self._items:
            return
        spoken = item.spoken
        whole = spoken.written if spoken is not None and spoken.cut_ms is not None else ""
        words = StoreReply(item.id, item.prompt_text, whole, spoken=spoken is not None)
        before = self._stored.get(item.id)
        if words == before or (before is None and not words.text.strip()):
            return
        self._stored[item.id] = words
        self._outbox.do(words)
