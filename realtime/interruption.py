"""A reply that was cut off, and how it could go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from chat.llm.base import PromptMessage
from realtime.conversation import ItemList
from realtime.effects import ReplyPlan
from realtime.items import Item
from realtime.plans import reply_plan
from realtime.reply import Reply
from realtime.response_options import ResponseOptions


@dataclass(frozen=True, slots=True)
class Interruption:
    """What was interrupted.

    Attributes:
        reply: The reply; it is done.
        item: What was being said of it; None where nothing was said yet.
    """

    reply: Reply
    item: Item | None

    @property
    def said(self) -> str:
        """All that was being said aloud, heard or not."""
        spoken = self.item.spoken if self.item else None
        return spoken.full_text if spoken else ""

    @property
    def resumable(self) -> bool:
        """Whether there is anything left to say."""
        return not self.reply.written or bool(self.rest.strip())

    @property
    def rest(self) -> str:
        """What was to be said and was not heard, from the sentence on that was cut."""
        if self.item is None:
            return self._preface
        return self.item.spoken.unheard_text + self._unwritten if self.item.spoken else ""

    @property
    def _preface(self) -> str:
        return self.reply.plan.preface if self.reply.plan else ""

    @property
    def _unwritten(self) -> str:
        """Of the preface, what the engine had not come to."""
        written = self.item.spoken.written if self.item and self.item.spoken else ""
        return self._preface.removeprefix(written) if self._preface.startswith(written) else ""

    def plan(
        self, options: ResponseOptions, items: ItemList, *, without: Sequence[str]
    ) -> ReplyPlan:
        """What to ask the engine for, so that it goes on where the listener has stopped.

        Args:
            options: Of the new response.
            items: The conversation.
            without: What was taken for the user's words, and was none.
        """
        character = self.reply.character
        if self.reply.written:
            return reply_plan(
                options, character, items, without=without, preface=self.rest, write=False
            )
        if self.item is None:
            return reply_plan(options, character, items, without=without, preface=self.rest)
        spoken = self.item.spoken
        so_far = spoken.written + self._unwritten if spoken else self.item.text
        return reply_plan(
            options,
            character,
            items,
            without=(*without, self.item.id),
            then=[PromptMessage("assistant", so_far)] if so_far.strip() else (),
            preface=self.rest,
        )
