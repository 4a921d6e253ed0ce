"""What a live turn tells while a person speaks and the character answers. No Django."""

from dataclasses import dataclass

from chat.engine.events import Stage


@dataclass(frozen=True, slots=True)
class Heard:
    """What the recogniser has understood of the utterance so far; replaces the one before.

    Attributes:
        text: May be empty: nothing that is speech was heard.
        final: The last one of the utterance: exactly one, after ``finish_utterance``.
    """

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class HearingFailed:
    """The utterance could not be recognised; no ``Heard`` follows."""

    stage: Stage
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TextReady:
    """The next piece of the reply's text as the model wrote it, directions included."""

    text: str


@dataclass(frozen=True, slots=True)
class TextEnded:
    """The model has nothing to add to what it wrote; some of it is still to be spoken.

    Of a reply that is spoken and calls nothing; at most once.
    """


@dataclass(frozen=True, slots=True)
class SentenceReady:
    """The audio that follows, until the next of these, speaks ``text``.

    Texts joined are all that is spoken. Of a reply in text alone none comes.
    """

    text: str


@dataclass(frozen=True, slots=True)
class AudioReady:
    """The next piece of speech: PCM16 little endian mono at 24 000 Hz, of any even length."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class CallBegins:
    """The model calls a function of the client. One call at a time; ``CallEnds`` closes it.

    Calls come after all text and all audio of their reply.
    """

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """The next piece of the open call's arguments."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnds:
    """The open call is complete."""


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is complete. The last event of its run.

    Attributes:
        finish_reason: ``stop``, ``length``, ``content_filter`` or ``tool_calls``.
        prompt_tokens: Estimated where the provider did not count; the same for all.
        completion_tokens: Of text and calls.
        cached_tokens: Of ``prompt_tokens``.
    """

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply broke off. The last event of its run.

    ``stage`` and ``reason`` are those of ``TurnFailed``; ``detail`` is for the log alone.
    ``reason`` is ``lost`` where the worker that ran it is gone.
    """

    stage: Stage
    reason: str
    detail: str = ""


HearingEvent = Heard | HearingFailed
ReplyEvent = (
    TextReady
    | TextEnded
    | SentenceReady
    | AudioReady
    | CallBegins
    | CallArguments
    | CallEnds
    | ReplyEnded
    | ReplyFailed
)
