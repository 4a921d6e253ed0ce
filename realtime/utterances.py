"""What the user says aloud: from audio that is appended to an item that is understood."""

from collections.abc import Callable

from chat.engine.live_events import HearingEvent, HearingFailed
from realtime import events
from realtime.conversation import ItemList
from realtime.effects import Detect, Feed, NoteTranscript, ResetEar, StoreUtterance
from realtime.errors import ProtocolError
from realtime.input_audio import HEARD_RATE, LONGEST_MS, InputAudio
from realtime.items import Item
from realtime.live_turns import LiveTurns
from realtime.outbox import Outbox
from realtime.settings import Settings
from realtime.transcripts import Transcripts
from realtime.utterance import Utterance

# So many utterances, of so many seconds together, may wait to be understood.
MOST_WAITING = 128
_MOST_SECONDS = LONGEST_MS / 1000

_BYTES_A_MS = HEARD_RATE // 1000 * 2
# Where audio comes faster than it is spoken, the recogniser was given what lies behind the
# utterance: beyond so much of it (ms) the utterance is heard again by itself.
_MOST_BEHIND_MS = 1_000
# Of speech that the end of the session cuts off, and of which nothing is understood, so much
# (ms, behind the prefix) is kept: less is a word at most, or the click of hanging up.
_LEAST_CUT_OFF_MS = 300


class Utterances:
    """Hears, commits and understands them.

    Args:
        outbox: Takes what is to be done.
        turns: Where they are heard.
        items: The conversation.
        settings: Of the session.
        on_committed: Called with each when it has become an item.
        on_understood: Called with each when ``text`` is final, or ``failure`` is set; its
            turn is still open then.

    Attributes:
        current: The one that the ear hears now; None for none.
        waiting: Those that are committed and not understood yet, oldest first, by turn.
        input: The audio.
    """

    def __init__(
        self,
        outbox: Outbox,
        turns: LiveTurns,
        items: ItemList,
        settings: Settings,
        *,
        on_committed: Callable[[Utterance], None],
        on_understood: Callable[[Utterance], None],
    ) -> None:
        self.current: Utterance | None = None
        self.waiting: dict[str, Utterance] = {}
        self.input = InputAudio()
        self._outbox = outbox
        self._turns = turns
        self._items = items
        self._settings = settings
        self._transcripts = Transcripts(outbox, items, settings)
        self._on_committed = on_committed
        self._on_understood = on_understood
        self._manual: Utterance | None = None  # heard while the client appends it
        self._decoded = 0  # bytes of all audio
        self._fed = 0  # of that, what the ear was given
        self._ear_lags = 0  # ms by which its clock is behind that of the input
        self._detection = settings.config.detection

    # --- audio comes

    def begin(self) -> None:
        """Set the ear as the session is set."""
        self.input.rolling = self._detection is not None
        self._outbox.do(Detect(self._detection))

    def retune(self) -> None:
        """The settings have changed."""
        detection = self._settings.config.detection
        if detection == self._detection:
            return
        if detection is None:
            self.abandon()
        elif self._detection is None:
            self._abandon_manual()
            self._ear_lags = (self._decoded - self._fed) // _BYTES_A_MS
        self._detection = detection
        self.begin()

    def append(self, audio: object) -> None:
        """The client's next audio.

        Raises:
            ProtocolError: It is no audio, or there is too much of it.
        """
        pcm = self.input.append(audio, self._settings.config.input_format)
        self._decoded += len(pcm)
        if not pcm:
            return
        if self._detection is not None:
            self._fed += len(pcm)
            self._outbox.do(Feed(pcm))
            if self.current is not None:
                self._turns.hear(self.current.turn, pcm)
        elif self._settings.setup.streaming:
            if self._manual is None:
                self._manual = Utterance(self._outbox.new_id("item"))
                self._listen(self._manual)
            self._turns.hear(self._manual.turn, pcm)

    def clear(self) -> None:
        """Forget what is buffered, and the utterance that it belongs to."""
        self.abandon()
        self._abandon_manual()
        self.input.clear()
        if self._detection is not None:
            self._outbox.do(ResetEar())
        self._outbox.send(events.buffer_cleared())

    def abandon(self) -> None:
        """Nobody wants to know any more what the user is saying now."""
        if self.current is not None:
            self._turns.heard(self.current.turn)
            self.current = None

    def _abandon_manual(self) -> None:
        if self._manual is not None:
            self._turns.heard(self._manual.turn)
            self._manual = None

    # --- the ear finds one

    @property
    def full(self) -> bool:
        """As much waits to be understood as may: nothing more is heard until some of it is."""
        seconds = sum(each.seconds for each in self.waiting.values())
        return len(self.waiting) >= MOST_WAITING or seconds >= _MOST_SECONDS

    def check_room(self) -> None:
        """Whether one more may wait to be understood.

        Raises:
            ProtocolError: ``rate_limit_exceeded``.
        """
        if self.full:
            raise ProtocolError(
                "rate_limit_exceeded",
                "Too much audio waits to be understood.",
                kind="rate_limit_error",
            )

    def start(self, start_ms: int) -> Utterance:
        """Somebody speaks. The client is told; `listen` is still to be called."""
        start = max(start_ms + self._ear_lags, self.input.begins_ms)
        self.current = Utterance(self._outbox.new_id("item"), start_ms=start)
        self._outbox.send(events.speech_started(self.current.item_id, start))
        return self.current

    def listen(self, utterance: Utterance) -> None:
        """Have it recognised, from its onset on."""
        self._listen(utterance)
        self._turns.hear(utterance.turn, self.input.take(utterance.start_ms, self.input.now_ms + 1))

    def stop(self, end_ms: int) -> Utterance | None:
        """The utterance has ended; None where there was none any more."""
        utterance, self.current = self.current, None
        if utterance is None:
            return None
        end = max(end_ms + self._ear_lags, utterance.start_ms)
        self._outbox.send(events.speech_stopped(utterance.item_id, end))
        pcm = self.input.take(utterance.start_ms, end)
        if self.input.now_ms - end > _MOST_BEHIND_MS:
            self._hear_again(utterance, pcm)
        self.input.discard(end)
        self._commit(utterance, pcm)
        return utterance

    def _hear_again(self, utterance: Utterance, pcm: bytes) -> None:
        self._turns.heard(utterance.turn)
        utterance.text, utterance.failure, utterance.peeked = "", None, False
        self._listen(utterance)
        self._turns.hear(utterance.turn, pcm)

    def peek(self) -> None:
        """Have what was heard so far understood, where that is not done all the time."""
        if self.current is not None:
            self.current.peeked = True
            self._turns.peek(self.current.turn)

    # --- the client commits

    def commit(self) -> None:
        """Make an item of what is buffered.

        Raises:
            ProtocolError: ``input_audio_buffer_commit_empty``, or see `check_room`.
        """
        self.input.check_commit()
        self.check_room()
        utterance = self.current or self._manual
        if self.current is not None:
            pcm = self.input.take(self.current.start_ms, self.input.now_ms + 1)
            self.input.discard(self.input.now_ms)
        else:
            pcm = self.input.commit()
        self.current = self._manual = None
        if self._detection is not None:
            self._outbox.do(ResetEar())
        if utterance is None:
            utterance = Utterance(self._outbox.new_id("item"))
            self._listen(utterance)
            self._turns.hear(utterance.turn, pcm)
        utterance.peeked = False
        self._commit(utterance, pcm)

    def commit_silence(self, milliseconds: int) -> None:
        """Make an item of the silence that has lasted so long: there is nothing to hear."""
        end = self.input.now_ms
        start = max(end - milliseconds, self.input.begins_ms)
        item = Item.heard(self._outbox.new_id("item"), "")
        self._outbox.send(events.timeout_triggered(item.id, start, end))
        self.input.discard(end)
        self._add(item)
        silence = Utterance(item.id, start_ms=start, seconds=(end - start) / 1000)
        self._transcripts.tell(silence)

    def recognize(self, item: Item, part: int, pcm: bytes) -> None:
        """Have a clip understood that is a part of an item; the item is there already."""
        utterance = Utterance(item.id, part)
        self._listen(utterance)
        self._turns.hear(utterance.turn, pcm)
        self._wait_for(utterance, pcm)

    def _commit(self, utterance: Utterance, pcm: bytes) -> None:
        self._add(Item.heard(utterance.item_id))
        if not self._settings.listens_only:
            self._outbox.do(StoreUtterance(utterance.item_id, pcm=pcm))
        self._wait_for(utterance, pcm)

    def _add(self, item: Item) -> None:
        previous = self._items.append(item)
        self._outbox.send(events.buffer_committed(item.id, previous))
        self._outbox.send(events.item_added(item.render(), previous))
        self._outbox.send(events.item_done(item.render(), previous))

    def _wait_for(self, utterance: Utterance, pcm: bytes) -> None:
        utterance.seconds = len(pcm) / _BYTES_A_MS / 1000
        self.waiting[utterance.turn] = utterance
        self._on_committed(utterance)
        if utterance.failure is not None:
            self._settle(utterance)
        else:
            self._turns.finish(utterance.turn, silent=utterance.peeked)

    # --- the recogniser understands

    def take(self, turn: str, event: HearingEvent) -> Utterance | None:
        """Something was understood. Returns the utterance of the turn; None: nobody cares."""
        utterance = self._of(turn)
        if utterance is None or not self._turns.hears(turn):
            return None
        committed = turn in self.waiting
        if isinstance(event, HearingFailed):
            utterance.failure = event
        else:
            utterance.text = event.text.strip()
            utterance.final = event.final and committed
            if utterance is self.current and self._detection is not None:
                self._outbox.do(NoteTranscript(utterance.text))
        if committed and (utterance.final or utterance.failure):
            self._settle(utterance)
        return utterance

    def item_deleted(self, item_id: str) -> None:
        """Whatever is understood of it was never said, also where its id is used again."""
        for utterance in self.waiting.values():
            if utterance.item_id == item_id:
                utterance.item_id = ""

    def close(self) -> None:
        """The session is over: what is understood so far is all that will be.

        Who is still speaking is cut off, and kept. What was appended by hand and never
        committed is not: the client has not said that it counts.
        """
        for utterance in self.waiting.values():
            self._transcripts.store_partly(utterance)
        self.waiting.clear()
        if self.current is not None:
            self._cut_off(self.current)
        self.abandon()
        self._abandon_manual()

    def _cut_off(self, utterance: Utterance) -> None:
        """Store what was said of one that has not ended."""
        if self._settings.listens_only or utterance.is_echo:
            return
        now = self.input.now_ms
        prefix = self._detection.prefix_ms if self._detection else 0
        if utterance.text or now - utterance.start_ms >= prefix + _LEAST_CUT_OFF_MS:
            pcm = self.input.take(utterance.start_ms, now + 1)
            self._outbox.do(StoreUtterance(utterance.item_id, utterance.text, pcm))

    def _settle(self, utterance: Utterance) -> None:
        del self.waiting[utterance.turn]
        item = self._items.get(utterance.item_id)
        if item is None:
            utterance.text = ""  # deleted meanwhile: it was never said
        elif utterance.failure is not None:
            self._transcripts.tell_failure(utterance, utterance.failure)
        else:
            if utterance.is_echo:
                utterance.text = ""
            self._transcripts.store(utterance)
            self._transcripts.tell(utterance)
        self._on_understood(utterance)
        self._turns.heard(utterance.turn)

    # --- turns

    def _listen(self, utterance: Utterance) -> None:
        utterance.turn = self._turns.listen(self._settings.language)

    def _of(self, turn: str) -> Utterance | None:
        if turn in self.waiting:
            return self.waiting[turn]
        under_way = [each for each in (self.current, self._manual) if each is not None]
        return next((each for each in under_way if each.turn == turn), None)
