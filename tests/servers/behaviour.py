"""What a loopback provider does with a request: its pace, its faults, its record."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Endpoint = Literal["chat", "transcriptions", "speech", "voices"]
Outcome = Literal["open", "finished", "cancelled", "dropped"]
Fault = Literal[
    "stall_before",  # takes the request and never answers
    "stall_first",  # sends the head of the answer, then nothing
    "stall_middle",  # half of the answer, then silence
    "drop_before",  # closes the socket without an answer
    "drop_middle",  # half of the answer, then closes the socket
    "no_finish",  # the body ends in good order, but without finish_reason and [DONE]
    "no_done",  # finish_reason, but no [DONE]
    "invalid_json",  # a line in the middle that is not JSON
    "error_event",  # an error object in the middle of the stream
]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a healthy answer comes; 0 means at once.

    Attributes:
        asr_ms: Until the transcript, from the end of the upload.
        llm_first_ms: Until the first token.
        tokens_per_second: Of the tokens after it.
        tts_first_ms: Until the first byte of audio.
        speech_rate: Seconds of audio sent a second after that.
    """

    asr_ms: float = 0
    llm_first_ms: float = 0
    tokens_per_second: float = 0
    tts_first_ms: float = 0
    speech_rate: float = 0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered; the default is a healthy answer at the server's pace.

    Attributes:
        text: The reply of the model, or the transcript; None for the server's own.
        reasoning: Sent as ``reasoning_content`` before the reply.
        tool_calls: What the model calls after its text (None is no text then), where the
            request offers functions and does not end with the output of one:
            ``{"name": …, "arguments": …}`` each.
        calls_as: How they are streamed: in ``pieces``, one after the other; ``together``,
            the pieces of all in turn; ``whole``, each at once; ``bare``, the same without
            ids and numbers; ``unnumbered``, the same with ids and all of them number 0.
        finish_reason: Instead of ``stop``, ``length`` or ``tool_calls``.
        cached_tokens: Of the prompt, as the usage has it.
        status: 400 and above answers with the error envelope at once.
        code: Of that envelope, and of an ``error_event``.
        retry_after: The header of that answer, verbatim.
        fault: What goes wrong; see `Fault`.
        rejects: Top-level request fields answered with 400, as strict servers do.
        names_field: Whether that answer says which field it is.
        envelope: How a failure is worded: as OpenAI does, flat as SiliconFlow does, or as
            FastAPI does (``{"detail": …}``, with 422 for a field).
        formats: Of speech; others are answered with 400. None for the server's own.
        native_rate: Hz of speech, where the request asks for no ``sample_rate``.
        max_characters: Of the text to speak.
        voices: Those that are known; None takes any.
        content_type: The label of the audio, whatever it is.
        piece_bytes: Size of the pieces in which audio is written.
        sends_format: What is sent, whatever format was asked for; ``text`` is an excuse.
        pace: Instead of the server's.
    """

    text: str | None = None
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, str], ...] = ()
    calls_as: Literal["pieces", "together", "whole", "bare", "unnumbered"] = "pieces"
    finish_reason: str | None = None
    cached_tokens: int = 0
    status: int = 200
    code: str | None = None
    retry_after: str | None = None
    fault: Fault | None = None
    rejects: tuple[str, ...] = ()
    names_field: bool = True
    envelope: Literal["openai", "flat", "fastapi"] = "openai"
    formats: tuple[str, ...] | None = None
    native_rate: int = 24_000
    max_characters: int = 4_096
    voices: tuple[str, ...] | None = None
    content_type: str | None = None
    piece_bytes: int = 4_800
    sends_format: Literal["pcm", "wav", "mp3", "text"] | None = None
    pace: Pace | None = None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Behaviour":
        """Build one from a control request; unknown fields are a ``TypeError``."""
        pace = fields.get("pace")
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**(given | {"pace": Pace(**pace) if pace else None}))


@dataclass(slots=True)
class Exchange:
    """One request as the server saw it."""

    endpoint: Endpoint
    headers: dict[str, str]
    body: dict[str, Any]
    peer: str  # the client's end of the connection
    outcome: Outcome = "open"

    def as_json(self) -> dict[str, Any]:
        """For the control log; the upload is given by its length."""
        body = {k: len(v) if isinstance(v, bytes) else v for k, v in self.body.items()}
        return {
            "endpoint": self.endpoint,
            "headers": self.headers,
            "body": body,
            "outcome": self.outcome,
        }


@dataclass(slots=True)
class Script:
    """What comes next an endpoint, and what came.

    The queued behaviours are used up first, one a request; then ``always`` holds.
    ``counts`` maps "started" and each outcome to a number and never forgets;
    ``exchanges`` keeps the last thousand.
    """

    always: dict[Endpoint, Behaviour] = field(default_factory=dict)
    queued: dict[Endpoint, deque[Behaviour]] = field(default_factory=dict)
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=1_000))
    counts: dict[Endpoint, Counter[str]] = field(default_factory=dict)

    def take(self, endpoint: Endpoint) -> Behaviour:
        queue = self.queued.get(endpoint)
        return queue.popleft() if queue else self.always.get(endpoint, Behaviour())

    def begin(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.counts.setdefault(exchange.endpoint, Counter())["started"] += 1

    def end(self, exchange: Exchange, outcome: Outcome) -> None:
        exchange.outcome = outcome
        self.counts[exchange.endpoint][outcome] += 1
