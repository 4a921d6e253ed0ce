"""What providers were asked and what came of it, for metrics and for the ledger.

One `Attempt` a request to a provider, told when it has ended, whichever way.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from voice.errors import Reason

Capability = Literal["llm", "asr", "tts"]
Outcome = Literal["ok", "cancelled"] | Reason


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to one provider.

    Attributes:
        capability: What was asked for.
        provider: Registry name.
        outcome: ``ok``, ``cancelled`` (whoever asked went away) or the failure's reason.
        first: Seconds to the first item of the answer; None where none came.
        seconds: Seconds to its end.
        units: What it amounts to, by unit: ``characters`` (tts), ``seconds`` (asr),
            ``prompt_tokens`` and ``completion_tokens`` (llm, estimated where the provider
            did not say); what is not known is missing.
    """

    capability: Capability
    provider: str
    outcome: Outcome
    first: float | None
    seconds: float
    units: Mapping[str, float] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether it was answered, in part at least; what was refused costs nothing."""
        return self.outcome == "ok" or self.first is not None


Listener = Callable[[Attempt], None]

_listeners: list[Listener] = []
_collected: ContextVar[list[Attempt] | None] = ContextVar("attempts", default=None)


def listen(listener: Listener) -> None:
    """Have every attempt of this process told, in the thread of its event loop."""
    _listeners.append(listener)


@contextmanager
def collected() -> Iterator[list[Attempt]]:
    """The attempts made in this block and in the tasks begun in it, as they end."""
    found: list[Attempt] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def tell(attempt: Attempt) -> None:
    """Pass an attempt on to whoever listens."""
    for listener in _listeners:
        listener(attempt)
    if (found := _collected.get()) is not None:
        found.append(attempt)
