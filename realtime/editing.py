"""What a client does to the items of its conversation."""

from collections.abc import Mapping
from typing import Any

from realtime import events
from realtime.conversation import ItemList
from realtime.effects import ForgetItem, StoreUtterance
from realtime.errors import ProtocolError, invalid, known_event_id
from realtime.input_audio import decode_clip
from realtime.items import Item
from realtime.loudspeaker import Loudspeaker
from realtime.outbox import Outbox
from realtime.replies import Replies
from realtime.settings import Settings
from realtime.utterances import Utterances

# A client's player counts a little more than it was sent.
_SLACK_MS = 500


class Editing:
    """Creates, retrieves, truncates and deletes items. All raise ProtocolError.

    Args:
        outbox: Takes what is to be done.
        items: The conversation.
        settings: Of the session.
        utterances: Understand what is spoken of an item.
        replies: Store what counts of the character's words.
        loudspeaker: What was sent of them, and heard.
    """

    def __init__(
        self,
        outbox: Outbox,
        items: ItemList,
        settings: Settings,
        utterances: Utterances,
        replies: Replies,
        loudspeaker: Loudspeaker,
    ) -> None:
        self._outbox = outbox
        self._items = items
        self._settings = settings
        self._utterances = utterances
        self._replies = replies
        self._loudspeaker = loudspeaker
        self._typed: dict[str, object] = {}  # the events that created what is to be stored

    def create(self, event: Mapping[str, Any]) -> None:
        """``conversation.item.create``."""
        item = Item.parse(event.get("item"), self._outbox.new_id)
        clips = self._clips(item)
        if clips:
            self._utterances.check_room()
        previous = self._items.insert(item, event.get("previous_item_id"))
        if item.role == "user" and self._items.last_id == item.id:
            self._store(item, clips, event.get("event_id"))
        self._outbox.send(events.item_added(item.render(), previous))
        self._outbox.send(events.item_done(item.render(), previous))
        for part, pcm in clips.items():
            self._utterances.recognize(item, part, pcm)

    def retrieve(self, event: Mapping[str, Any]) -> None:
        """``conversation.item.retrieve``. Audio is not kept."""
        item = self._items.retrieve(event.get("item_id"))
        self._outbox.send(events.item_retrieved(item.render()))

    def delete(self, event: Mapping[str, Any]) -> None:
        """``conversation.item.delete``."""
        item = self._items.delete(event.get("item_id"))
        if not self._settings.listens_only:
            self._outbox.do(ForgetItem(item.id))
        self._typed.pop(item.id, None)
        self._utterances.item_deleted(item.id)
        self._outbox.send(events.item_deleted(item.id))

    def truncate(self, event: Mapping[str, Any]) -> None:
        """``conversation.item.truncate``: the client knows best how much was heard."""
        item = self._items.truncated(event.get("item_id"))
        index, end = event.get("content_index", 0), event.get("audio_end_ms")
        if index != 0 or isinstance(index, bool):
            raise invalid("content_index", "0")
        if not isinstance(end, int | float) or isinstance(end, bool) or not 0 <= end < 1e12:
            raise invalid("audio_end_ms", "milliseconds, 0 or more")
        sent = self._loudspeaker.clock.sent_ms(item.id)
        if end > sent + _SLACK_MS:
            raise ProtocolError(
                "invalid_value",
                f"Audio content of {sent}ms is already shorter than {int(end)}ms",
                param="audio_end_ms",
            )
        item.cut(min(int(end), sent))
        self._outbox.send(events.item_truncated(item.id, 0, min(end, sent)))
        self._replies.truncated(item)

    def not_stored(self, item_id: str) -> object:
        """The event by which the client created that item; None for items of our own."""
        return self._typed.pop(item_id, None)

    def _clips(self, item: Item) -> dict[int, bytes]:
        """The audio of an item's parts, decoded and taken out."""
        clips = {}
        for number, part in enumerate(item.content):
            if part.audio is not None and part.text is None:
                path = f"item.content[{number}].audio"
                clips[number] = decode_clip(part.audio, self._settings.config.input_format, path)
            part.audio = None
        return clips

    def _store(self, item: Item, clips: Mapping[int, bytes], event_id: object) -> None:
        if self._settings.listens_only or not (item.text.strip() or clips):
            return
        pcm = b"".join(clips.values()) or None
        self._typed[item.id] = known_event_id(event_id)
        self._outbox.do(StoreUtterance(item.id, item.text, pcm))
