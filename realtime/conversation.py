"""The items of a session in their order."""

from collections.abc import Iterator

from realtime.errors import ProtocolError
from realtime.fields import is_identifier
from realtime.items import Item

MOST_ITEMS = 4_000
MOST_TEXT = 500_000  # characters of all that clients put there

_FIRST = "root"


class ItemList:
    """The items of the default conversation, oldest first."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}  # the order of a dict is that of the conversation
        self._lengths: dict[str, int] = {}  # of the clients' items, in characters

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._items.values()))

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> Item | None:
        """The item of that id."""
        return self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        """Of the newest item."""
        return next(reversed(self._items), None)

    def previous_of(self, item_id: str) -> str | None:
        """The id of the one before an item; None of the first."""
        before = None
        for each in self._items:
            if each == item_id:
                return before
            before = each
        return None

    def append(self, item: Item) -> str | None:
        """Put one of our own at the end.

        Returns:
            ``previous_item_id`` for its events.
        """
        previous = self.last_id
        self._items[item.id] = item
        return previous

    def insert(self, item: Item, previous_item_id: object = None) -> str | None:
        """Put a client's where it wants it.

        Args:
            item: Parsed.
            previous_item_id: As it came; None and "" for the end, "root" for the beginning.

        Returns:
            ``previous_item_id`` for its events.

        Raises:
            ProtocolError: ``item_create_duplicate_item_id``,
                ``item_create_invalid_previous_item_id``, ``invalid_value`` (there is too
                much).
        """
        if item.id in self._items:
            raise ProtocolError(
                "item_create_duplicate_item_id",
                "Error adding item: an item with this id already exists.",
                param="item.id",
            )
        if len(self._items) >= MOST_ITEMS:
            raise ProtocolError(
                "invalid_value", f"A conversation holds at most {MOST_ITEMS} items.", param="item"
            )
        if sum(self._lengths.values()) + item.length > MOST_TEXT:
            message = f"A conversation holds at most {MOST_TEXT} characters of items."
            raise ProtocolError("invalid_value", message, param="item")
        previous = self._place(item, previous_item_id)
        self._lengths[item.id] = item.length
        return previous

    def _place(self, item: Item, previous_item_id: object) -> str | None:
        if previous_item_id in (None, ""):
            return self.append(item)
        if previous_item_id == _FIRST and _FIRST not in self._items:
            self._items = {item.id: item, **self._items}
            return None
        if not isinstance(previous_item_id, str) or previous_item_id not in self._items:
            raise ProtocolError(
                "item_create_invalid_previous_item_id",
                "Error adding item: the previous item with this id does not exist.",
                param="previous_item_id",
            )
        rest = list(self._items.values())
        at = list(self._items).index(previous_item_id) + 1
        self._items = {each.id: each for each in [*rest[:at], item, *rest[at:]]}
        return previous_item_id

    def retrieve(self, item_id: object) -> Item:
        """The item of a ``conversation.item.retrieve``.

        Raises:
            ProtocolError: ``item_retrieve_invalid_item_id``.
        """
        return self._known(item_id, "retrieve", "retrieving")

    def delete(self, item_id: object) -> Item:
        """Take out the item of a ``conversation.item.delete``.

        Raises:
            ProtocolError: ``item_delete_invalid_item_id``.
        """
        item = self._known(item_id, "delete", "deleting")
        del self._items[item.id]
        self._lengths.pop(item.id, None)
        return item

    def truncated(self, item_id: object) -> Item:
        """The item of a ``conversation.item.truncate``: one of ours that was spoken.

        Raises:
            ProtocolError: ``item_truncate_invalid_item_id``, ``invalid_value``.
        """
        item = self._known(item_id, "truncate", "truncating")
        if item.spoken is None:
            raise ProtocolError(
                "invalid_value",
                "Only model output audio messages can be truncated.",
                param="item_id",
            )
        return item

    def _known(self, item_id: object, verb: str, doing: str) -> Item:
        item = self._items.get(item_id) if isinstance(item_id, str) else None
        if item is None:
            shown = item_id if is_identifier(item_id) else ""
            raise ProtocolError(
                f"item_{verb}_invalid_item_id",
                f"Error {doing} item: the item with id '{shown}' does not exist.",
                param="item_id",
            )
        return item
