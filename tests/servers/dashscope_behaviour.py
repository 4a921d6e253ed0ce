"""What a loopback DashScope does with a task or a request: pace, faults, record."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "connect",  # the handshake of the task WebSocket
    "tts",  # a synthesis task on it
    "asr",  # a recognition task on it
    "speech",  # HTTP synthesis
    "chat",  # compatible mode: Qwen, and recognition with qwen3-asr-flash
    "multimodal",  # recognition in the native form
    "transcription",  # a job over a file
]
Outcome = Literal["open", "finished", "failed", "refused", "cancelled", "dropped", "gone"]
Fault = Literal[
    "stall_start",  # takes the handshake, task or request and never answers
    "stall_first",  # started, then no result
    "stall_middle",  # half of the audio of a sentence, then silence
    "stall_finish",  # every result, but never the end
    "drop_start",  # closes the socket instead of an answer
    "drop_middle",  # closes it after half of the audio of a sentence
    "drop_finished",  # closes it right after the end: what a pool keeps is dead
    "fail_start",  # task-failed instead of task-started
    "fail_middle",  # task-failed after half of the audio of a sentence
    "invalid_json",  # an answer that is not JSON
]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a healthy answer comes; 0 means at once.

    Attributes:
        connect_ms: Of the handshake.
        start_ms: From run-task to task-started.
        first_audio_ms: From a complete sentence to its first audio.
        speech_rate: Seconds of audio sent a second after that.
        asr_ms: From the end of a sentence, or of an upload, to its text.
    """

    connect_ms: float = 0
    start_ms: float = 0
    first_audio_ms: float = 0
    speech_rate: float = 0
    asr_ms: float = 0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one handshake, task or request is answered; the default is a healthy answer.

    Attributes:
        text: What is heard, or the reply of the model; None for the server's own.
        status: 400 and above refuses a handshake or an HTTP request.
        code: Of a refusal or of task-failed; None for the usual one of the status.
        message: Beside that code.
        retry_after: The header of a refusal, verbatim.
        fault: What goes wrong; see `Fault`.
        sentence: In the middle of which sentence of a synthesis, from 0.
        piece_bytes: Size of the binary frames.
        pace: Instead of the server's.
    """

    text: str | None = None
    status: int = 200
    code: str | None = None
    message: str | None = None
    retry_after: str | None = None
    fault: Fault | None = None
    sentence: int = 0
    piece_bytes: int = 4_800
    pace: Pace | None = None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Behaviour":
        """Build one from a control request; unknown fields are a ``TypeError``."""
        pace = fields.get("pace")
        return cls(**(fields | {"pace": Pace(**pace) if pace else None}))


@dataclass(slots=True)
class Record:
    """One handshake, task or request as the server saw it.

    Attributes:
        parameters: Of run-task, or the body of a request.
        texts: Of each continue-task, in order, or the one text of a request.
        characters: Billed, in the vendor's counting.
        seconds: Of audio received or sent.
        connection: Number of the connection of a task, from 1.
        error: Code and message of a failure.
    """

    kind: Kind
    task_id: str = ""
    model: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    characters: int = 0
    seconds: float = 0.0
    connection: int = 0
    outcome: Outcome = "open"
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the control log; the key is left out."""
        headers = {k: v for k, v in self.headers.items() if k.lower() != "authorization"}
        return {name: getattr(self, name) for name in self.__slots__} | {"headers": headers}


@dataclass(slots=True)
class Script:
    """What comes next a kind, and what came.

    The queued behaviours are used up first, one each; then ``always`` holds. ``counts``
    maps "started" and each outcome to a number and never forgets; ``records`` keeps the
    last two thousand.
    """

    always: dict[Kind, Behaviour] = field(default_factory=dict)
    queued: dict[Kind, deque[Behaviour]] = field(default_factory=dict)
    records: deque[Record] = field(default_factory=lambda: deque(maxlen=2_000))
    counts: dict[Kind, Counter[str]] = field(default_factory=dict)

    def take(self, kind: Kind) -> Behaviour:
        queue = self.queued.get(kind)
        return queue.popleft() if queue else self.always.get(kind, Behaviour())

    def begin(self, record: Record) -> None:
        self.records.append(record)
        self.counts.setdefault(record.kind, Counter())["started"] += 1

    def end(self, record: Record, outcome: Outcome, error: str = "") -> None:
        if record.outcome == "open":
            record.outcome, record.error = outcome, error
            self.counts.setdefault(record.kind, Counter())[outcome] += 1

    def clear(self) -> None:
        """Forget everything; connections that stand go on with what comes next."""
        for each in (self.always, self.queued, self.records, self.counts):
            each.clear()
