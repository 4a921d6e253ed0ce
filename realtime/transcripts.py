"""What was understood of the user: told to the client that wants it, and stored."""

from chat.engine.live_events import HearingFailed
from realtime import events
from realtime.conversation import ItemList
from realtime.effects import StoreTranscript
from realtime.endings import failure_message
from realtime.outbox import Outbox
from realtime.settings import Settings
from realtime.utterance import Utterance


class Transcripts:
    """Where they go.

    Args:
        outbox: Takes what is to be done.
        items: The conversation.
        settings: Of the session.
    """

    def __init__(self, outbox: Outbox, items: ItemList, settings: Settings) -> None:
        self._outbox = outbox
        self._items = items
        self._settings = settings

    def store(self, utterance: Utterance) -> None:
        """Into its item, and into what is kept once nothing of the item is missing."""
        item = self._items.get(utterance.item_id)
        if item is None:
            return
        item.content[utterance.part].text = utterance.text
        if item.understood and not self._settings.listens_only:
            self._outbox.do(StoreTranscript(item.id, item.text))

    def store_partly(self, utterance: Utterance) -> None:
        """What is understood of it so far, where there will be no more of it.

        Where nothing is, nobody knows that nothing was said: the audio is kept.
        """
        item = self._items.get(utterance.item_id)
        if item is None or not utterance.text or utterance.is_echo:
            return
        item.content[utterance.part].text = utterance.text
        if not self._settings.listens_only:
            self._outbox.do(StoreTranscript(item.id, item.text))

    def tell(self, utterance: Utterance) -> None:
        """All of it in one delta: what recognisers say before may still change."""
        if not self._settings.tells_transcripts:
            return
        item_id, part, text = utterance.item_id, utterance.part, utterance.text
        if text:
            self._outbox.send(events.transcription_delta(item_id, text, part))
        self._outbox.send(events.transcription_completed(item_id, text, utterance.seconds, part))

    def tell_failure(self, utterance: Utterance, failure: HearingFailed) -> None:
        """It could not be recognised."""
        if not self._settings.tells_transcripts:
            return
        spent = failure.reason == "insufficient_quota"
        self._outbox.send(
            events.transcription_failed(
                utterance.item_id,
                failure_message(failure),
                code=failure.reason if spent else "transcription_failed",
                content_index=utterance.part,
            )
        )
