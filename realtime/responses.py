"""One response as the client sees it: everything opened is closed, in the right order."""

import base64
from collections.abc import Mapping
from typing import Any

from realtime import events
from realtime.conversation import ItemList
from realtime.events import Place, Status, Usage
from realtime.items import Item, Part
from realtime.outbox import Outbox
from realtime.response_options import ResponseOptions
from realtime.spoken import Spoken


class Response:
    """Tells a reply as events. What is said next closes what has to be closed before it.

    Args:
        outbox: Takes the events.
        options: What it is made with.
        conversation_id: Of the session.
        items: The default conversation; None out of band, where nothing is kept.
    """

    def __init__(
        self,
        outbox: Outbox,
        options: ResponseOptions,
        *,
        conversation_id: str,
        items: ItemList | None,
    ) -> None:
        self.id = outbox.new_id("resp")
        self.options = options
        self.aloud = options.modality == "audio"
        self.output: list[Item] = []
        self.done = False
        self._outbox = outbox
        self._described = options.describe(conversation_id)
        self._items = items
        self._open: Item | None = None
        self._previous: str | None = None  # of the open item, when it was added
        self._place = Place(self.id, "")

    def create(self) -> None:
        """The first event of all."""
        shown = events.response_object(self.id, self._described)
        self._outbox.send(events.response_created(shown))

    # --- a message

    @property
    def message(self) -> Item | None:
        """What is being said; None before it begins, and after it."""
        return self._open if self._open and self._open.kind == "message" else None

    @property
    def message_id(self) -> str:
        """Of the message that is open; empty for none."""
        return self.message.id if self.message else ""

    @property
    def spoken(self) -> Spoken | None:
        """What was said aloud of the message that is open."""
        return self.message.spoken if self.message else None

    def write(self, text: str) -> None:
        """The model wrote more: told in a reply in text, kept behind one that is spoken."""
        if not text or (self.message is None and not text.strip()):
            return
        item = self._message()
        if item.spoken is not None:
            item.spoken.write(text)
            return
        part = item.content[-1]
        part.text = (part.text or "") + text
        self._outbox.send(events.text_delta(self._place, text))

    def begin_sentence(self, text: str) -> None:
        """What the audio that follows says."""
        item = self._message()
        assert item.spoken is not None
        item.spoken.begin(text)
        item.show_transcript()
        if text:
            self._outbox.send(events.transcript_delta(self._place, text))

    def sound(self, encoded: bytes, seconds: float) -> None:
        """More audio, in the format of the response; it may still be in the encoder."""
        item = self._message()
        assert item.spoken is not None
        if seconds:
            item.spoken.sound(seconds * 1000)
        if encoded:
            audio = base64.b64encode(encoded).decode("ascii")
            self._outbox.send(events.audio_delta(self._place, audio))

    def _message(self) -> Item:
        if self.message is not None:
            return self.message
        item = Item.reply(self._outbox.new_id("item"), aloud=self.aloud)
        self._begin(item)
        item.content.append(Part("output_audio" if self.aloud else "output_text", ""))
        self._outbox.send(events.content_part_added(self._place, audio=self.aloud))
        return item

    # --- a function call

    def begin_call(self, call_id: str, name: str) -> None:
        """The model calls a function; the message before is complete."""
        self._begin(Item.call(self._outbox.new_id("item"), call_id, name))

    def argue(self, text: str) -> None:
        """More of the open call's arguments."""
        item = self._open
        if text and item is not None and item.kind == "function_call":
            item.arguments += text
            self._outbox.send(events.call_arguments_delta(self._place, item.call_id, text))

    def end_call(self) -> None:
        """The open call is complete."""
        if self._open is not None and self._open.kind == "function_call":
            self._close("completed")

    # --- the end

    def finish(
        self, status: Status, *, usage: Usage, details: Mapping[str, Any] | None = None
    ) -> None:
        """Close what is open, and the response. Nothing is said of it afterwards."""
        if self.done:
            raise RuntimeError("a response ends once")
        self._close(status)
        self.done = True
        shown = events.response_object(
            self.id,
            self._described,
            status=status,
            output=[item.render() for item in self.output],
            usage=usage,
            details=details,
        )
        self._outbox.send(events.response_done(shown))

    # --- items open and close

    def _begin(self, item: Item) -> None:
        if self.done:
            raise RuntimeError("the response is done")
        self._close("completed")
        self._open = item
        self._place = Place(self.id, item.id, output_index=len(self.output))
        self.output.append(item)
        self._outbox.send(events.output_item_added(self._place, item.render()))
        if self._items is not None:
            self._previous = self._items.append(item)
            self._outbox.send(events.item_added(item.render(), self._previous))

    def _close(self, status: Status) -> None:
        item = self._open
        if item is None:
            return
        whole = status == "completed" and (item.spoken is None or item.spoken.cut_ms is None)
        item.status = "completed" if whole else "incomplete"
        if item.kind == "message":
            self._close_part(item)
        else:
            self._outbox.send(
                events.call_arguments_done(self._place, item.call_id, item.name, item.arguments)
            )
        self._open = None
        self._outbox.send(events.output_item_done(self._place, item.render()))
        if self._items is not None:
            previous = self._previous
            if item.id in self._items:
                previous = self._items.previous_of(item.id)
            self._outbox.send(events.item_done(item.render(), previous))

    def _close_part(self, item: Item) -> None:
        if item.spoken is not None:
            # What was told stays told, though the item keeps but what was heard of it.
            told = item.spoken.full_text
            self._outbox.send(events.audio_done(self._place))
            self._outbox.send(events.transcript_done(self._place, told))
            self._outbox.send(events.content_part_done(self._place, told, audio=True))
            return
        self._outbox.send(events.text_done(self._place, item.text))
        self._outbox.send(events.content_part_done(self._place, item.text, audio=False))
