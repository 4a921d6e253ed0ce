"""Whose turn it is: when speech interrupts, when it is answered, when a reply goes on."""

from chat.engine.live_events import HearingEvent, HearingFailed, ReplyEvent
from chat.llm.base import PromptMessage
from realtime.character import Character
from realtime.conversation import ItemList
from realtime.interruption import Interruption
from realtime.outbox import Outbox
from realtime.plans import reply_plan
from realtime.replies import Replies
from realtime.response_options import ResponseOptions
from realtime.settings import Settings
from realtime.speculation import Speculation
from realtime.utterance import Utterance
from realtime.utterances import Utterances
from voice.ear.backchannel import is_backchannel
from voice.ear.events import EarEvent, Paused, Resumed, SpeechStarted, SpeechStopped

GOES_ON = "speech_goes_on"
IDLE = "idle"

# An utterance that was cut for its length alone is answered if nobody speaks for so long.
_GOES_ON_SECONDS = 1.0
_SILENT = {
    "zh": "（对方沉默了一会儿。主动接着聊。）",
    "en": "(The other person has been silent for a while. Say something.)",
}


class TurnTaking:
    """Decides on what the ear and the recogniser tell.

    Nothing is decided while somebody speaks, or while what was said is not understood. Then,
    if the user has said anything, it is answered; if it was nothing (a noise, a backchannel,
    our own echo) and has interrupted a reply, that reply goes on.

    Args:
        outbox: Takes what is to be done.
        items: The conversation.
        settings: Of the session.
        utterances: What the user says.
        replies: What the character says.
        speculation: What it is about to say.
    """

    def __init__(
        self,
        outbox: Outbox,
        items: ItemList,
        settings: Settings,
        utterances: Utterances,
        replies: Replies,
        speculation: Speculation,
    ) -> None:
        self._outbox = outbox
        self._items = items
        self._settings = settings
        self._utterances = utterances
        self._replies = replies
        self._speculation = speculation
        self._paused = False
        self._replied = False
        # What is to be decided: see `_decide`.
        self._answer: Utterance | None = None
        self._failure: HearingFailed | None = None
        self._interruption: Interruption | None = None
        self._mistaken: list[str] = []

    # --- the ear tells

    def on_ear(self, event: EarEvent) -> None:
        match event:
            case SpeechStarted(start_ms):
                self._started(start_ms)
            case Paused():
                self._pause()
            case Resumed():
                self._go_on()
            case SpeechStopped(end_ms, _, cut):
                self._stopped(end_ms, cut=cut)

    def _started(self, start_ms: int) -> None:
        if self._utterances.current is not None:
            self._stopped(start_ms, cut=True)
        if self._utterances.full:
            return
        self._speculation.discard()
        self._paused = False
        utterance = self._utterances.start(start_ms)
        utterance.beneath = self._replies.overlap
        if self._settings.config.interrupt_response:
            interruption = self._replies.interrupt("turn_detected")
            self._interruption = self._interruption or interruption
        self._outbox.cancel_timer(IDLE)
        self._outbox.cancel_timer(GOES_ON)
        self._utterances.listen(utterance)

    def _pause(self) -> None:
        current = self._utterances.current
        if current is None:
            return
        self._paused = True
        if self._settings.setup.streaming:
            self._speculate(current)
        elif self._detects_meaning:
            self._utterances.peek()

    def _go_on(self) -> None:
        self._paused = False
        self._speculation.discard()
        if self._utterances.current is not None:
            self._utterances.current.peeked = False

    def _stopped(self, end_ms: int, *, cut: bool) -> None:
        utterance = self._utterances.current
        if utterance is None:
            return
        utterance.wants_answer = self._settings.config.create_response
        if not utterance.wants_answer:
            self._interruption = None
        elif self._settings.config.interrupt_response:
            # The client had one made while the user spoke: it knows nothing of these words.
            interruption = self._replies.interrupt("turn_detected")
            self._interruption = self._interruption or interruption
        if cut:
            self._outbox.set_timer(GOES_ON, _GOES_ON_SECONDS)
        self._utterances.stop(end_ms)

    @property
    def _detects_meaning(self) -> bool:
        detection = self._settings.config.detection
        return detection is not None and detection.kind == "semantic_vad"

    # --- the recogniser tells

    def on_heard(self, turn: str, event: HearingEvent) -> None:
        utterance = self._utterances.take(turn, event)
        if utterance is not None and utterance is self._utterances.current and self._paused:
            self._speculate(utterance)

    def understood(self, utterance: Utterance) -> None:
        """An utterance is understood, or cannot be; its turn is still open."""
        if utterance.failure is not None:
            self._replies.not_understood(utterance.turn, utterance.failure)
        else:
            self._replies.understood(utterance.turn)
        if not utterance.wants_answer:
            self._go_on_expecting()
            return
        if utterance.failure is not None:
            self._failure = utterance.failure
        elif self._says_something(utterance):
            self._answer = utterance
        else:
            self._mistaken.append(utterance.item_id)
        # A turn that could not hear may be closed: nobody would answer in it.
        self._decide("" if utterance.failure else utterance.turn)

    def _says_something(self, utterance: Utterance) -> bool:
        if not utterance.text or utterance.is_echo:
            return False
        interruption = self._interruption
        spoken_over = interruption is not None and interruption.resumable
        return not (spoken_over and is_backchannel(utterance.text))

    # --- what follows

    def decide(self) -> None:
        """Somebody has stopped speaking, or was silenced: see whether to answer now."""
        self._decide("")

    def _decide(self, turn: str) -> None:
        """See the class.

        Args:
            turn: An open one in which the answer can be made; empty for none.
        """
        waiting = any(each.wants_answer for each in self._utterances.waiting.values())
        if self._utterances.current or waiting or self._outbox.runs(GOES_ON):
            return
        answer, failure, interruption = self._answer, self._failure, self._interruption
        mistaken = self._mistaken
        self._forget()
        if self._replies.active is not None:
            self._speculation.discard()
        elif answer is not None:
            self._respond(turn)
        elif failure is not None:
            self._speculation.discard()
            self._replies.fail(*self._own_options(), failure)
        else:
            self._speculation.discard()
            if interruption is not None and mistaken and interruption.resumable:
                self._replies.resume(interruption, without=mistaken)
            else:
                self._go_on_expecting()

    def client_decides(self) -> None:
        """The client has taken the turn into its own hands: nothing is done by itself."""
        self._speculation.discard()
        self._forget()

    def cleared(self) -> None:
        """What the user was saying is not listened to; what was said before is answered."""
        self._speculation.discard()
        self._interruption = None
        self.decide()

    def _forget(self) -> None:
        self._answer = self._failure = self._interruption = None
        self._mistaken = []
        self._outbox.cancel_timer(GOES_ON)

    def _respond(self, turn: str) -> None:
        options, character = self._own_options()
        waits = set(self._utterances.waiting)
        plan = reply_plan(options, character, self._items)
        adopted = None if waits else self._speculation.adopt(plan)
        if adopted is not None:
            self._replies.adopt(options, character, plan, *adopted)
        else:
            self._speculation.discard()
            self._replies.create(options, character, waits=waits, turn=turn)

    def _own_options(self) -> tuple[ResponseOptions, Character]:
        return ResponseOptions.of(self._settings.config), self._settings.character

    # --- answering before it is certain

    def _speculate(self, utterance: Utterance) -> None:
        settings = self._settings
        wanted = settings.setup.speculation and settings.config.create_response
        free = self._replies.active is None and not self._utterances.waiting
        if wanted and free and utterance.failure is None and self._says_something(utterance):
            options, character = self._own_options()
            said = [PromptMessage("user", utterance.text)]
            plan = reply_plan(options, character, self._items, then=said)
            self._speculation.begin(utterance.turn, plan)

    def on_reply(self, turn: str, run: int, event: ReplyEvent) -> None:
        if not self._speculation.take(turn, run, event):
            self._replies.take(turn, run, event)

    # --- silence

    def replied(self) -> None:
        """A response of the conversation is done: from now on the user is expected to speak."""
        self._replied = True
        self.expect()

    def expect(self) -> None:
        """From now on the user has so long to speak until the character speaks up.

        Who has not been answered yet is not expected to: a call begins as the user likes.
        """
        patience = self._settings.config.idle_timeout_ms
        busy = self._utterances.current or self._replies.active
        if patience is None or busy or not self._replied:
            self._outbox.cancel_timer(IDLE)
        else:
            self._outbox.set_timer(IDLE, self._replies.lead + patience / 1000)

    def _go_on_expecting(self) -> None:
        """Nothing follows from what was heard: it may have been a noise."""
        if not self._outbox.runs(IDLE):
            self.expect()

    def fired(self, timer: str) -> None:
        if timer == GOES_ON:
            self.decide()
        elif timer == IDLE:
            self._speak_up()

    def _speak_up(self) -> None:
        patience = self._settings.config.idle_timeout_ms
        busy = self._utterances.current or self._utterances.waiting or self._replies.active
        if patience is None or busy:
            return
        self._utterances.commit_silence(patience)
        if self._settings.config.create_response:
            options, character = self._own_options()
            note = PromptMessage("system", _SILENT.get(character.language, _SILENT["en"]))
            plan = reply_plan(options, character, self._items, then=[note])
            self._replies.create(options, character, plan=plan)
