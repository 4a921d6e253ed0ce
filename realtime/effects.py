"""What a session wants done. The session decides, the driver carries out, in order.

``turn`` names a live turn (``chat.engine.live.LiveTurn``), ``item_id`` an item of the
conversation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chat.llm.base import PromptMessage, Tool
from realtime.character import Character
from voice.ear.events import TurnDetection


@dataclass(frozen=True, slots=True)
class Send:
    """An event for the client: complete, in GA's words."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """The session is over: close the socket once everything before was sent."""

    code: int
    reason: str


# --- the ear


@dataclass(frozen=True, slots=True)
class Detect:
    """Hear utterances this way from now on; None hears none."""

    detection: TurnDetection | None


@dataclass(frozen=True, slots=True)
class Feed:
    """Audio for the ear: PCM16 mono at 16 000 Hz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Playing:
    """Our own voice is heard at the client's from now on, or no longer."""

    playing: bool


@dataclass(frozen=True, slots=True)
class NoteTranscript:
    """For the ear: what the utterance under way says so far."""

    text: str


@dataclass(frozen=True, slots=True)
class ResetEar:
    """Forget the utterance under way."""


# --- live turns


@dataclass(frozen=True, slots=True)
class Listen:
    """Open a live turn, and hear an utterance in it."""

    turn: str
    language: str


@dataclass(frozen=True, slots=True)
class Hear:
    """Audio for the utterance of a turn: PCM16 mono at 16 000 Hz."""

    turn: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Peek:
    """See ``LiveTurn.peek``."""

    turn: str


@dataclass(frozen=True, slots=True)
class FinishUtterance:
    """See ``LiveTurn.finish_utterance``."""

    turn: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class ReplyPlan:
    """A reply as the session knows it; the driver makes a ``ReplyOrder`` of it.

    Attributes:
        character: Who answers.
        messages: What was said in this session, oldest first, without the character.
        history: Whether what was said before the session, and its summary, comes first.
        instructions: Of the client: stand behind the character's own. Empty for none.
        tools: What the model may call.
        tool_choice: As in ``Prompt``.
        voice: A name from ``Setup.voices``; None for a reply in text alone.
        speed: Of the voice.
        max_tokens: None takes the operator's bound.
        temperature: None takes the operator's.
        preface: As in ``ReplyOrder``.
        write: The model writes; else the preface is all.
    """

    character: Character
    messages: tuple[PromptMessage, ...]
    history: bool = True
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    voice: str | None = None
    speed: float = 1.0
    max_tokens: int | None = None
    temperature: float | None = None
    preface: str = ""
    write: bool = True


@dataclass(frozen=True, slots=True)
class Respond:
    """Make a reply in a turn, opened for it where it is not open.

    The driver lets it wait until every utterance before it is stored. Where it cannot be
    made at all the session is told ``ReplyFailed``.

    Attributes:
        turn: Its name.
        run: Of the reply.
        plan: What is asked for.
        speculative: Nobody has asked for it yet, and perhaps nobody will.
    """

    turn: str
    run: int
    plan: ReplyPlan
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the reply of a turn, also one that waits; the turn stays open."""

    turn: str


@dataclass(frozen=True, slots=True)
class Release:
    """The turn is not needed any more: close it."""

    turn: str


# --- the stored conversation, which the chat shares


@dataclass(frozen=True, slots=True)
class StoreUtterance:
    """What the user said, before anything is done with it.

    The driver sends nothing that comes after a typed one until it is stored.

    Attributes:
        item_id: Its item.
        text: As typed; of what was spoken, what is understood of it already.
        pcm: What was spoken, PCM16 mono at 16 000 Hz; None for what was typed.
    """

    item_id: str
    text: str = ""
    pcm: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoreTranscript:
    """What was understood of a spoken one; empty: nobody said anything, forget it."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class StoreReply:
    """The character's words, as far as they were heard; told again when that changes.

    Attributes:
        item_id: Its item.
        text: What counts: of a reply that was not cut, all that the model wrote.
        full_text: All of it where ``text`` was cut; else empty. For audit alone.
        spoken: It was said aloud.
    """

    item_id: str
    text: str
    full_text: str = ""
    spoken: bool = True


@dataclass(frozen=True, slots=True)
class ForgetItem:
    """The client deleted it."""

    item_id: str


# --- time


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call ``Session.fire(name)`` after so many seconds; replaces the one of that name."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Not any more."""

    name: str


Effect = (
    Send
    | Close
    | Detect
    | Feed
    | Playing
    | NoteTranscript
    | ResetEar
    | Listen
    | Hear
    | Peek
    | FinishUtterance
    | Respond
    | Stop
    | Release
    | StoreUtterance
    | StoreTranscript
    | StoreReply
    | ForgetItem
    | SetTimer
    | CancelTimer
)
