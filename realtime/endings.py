"""How a response has ended, in the protocol's words."""

from dataclasses import dataclass
from typing import Any

from chat.engine.live_events import HearingFailed, ReplyEnded, ReplyFailed
from realtime.events import Reason, Status, status_details

_STAGES = {
    "audio": "The audio could not be read",
    "asr": "Speech recognition failed",
    "llm": "The language model failed",
    "tts": "Speech synthesis failed",
    "turn": "The response could not be made",
}


# What the one who asks can do something about has a code of its own.
_OF_THE_USER = ("insufficient_quota", "rate_limit_exceeded")


@dataclass(frozen=True, slots=True)
class Ending:
    """A status and why."""

    status: Status
    details: dict[str, Any] | None = None


def cancelled(reason: Reason | None = None) -> Ending:
    """Somebody stopped it; no reason where the session is over."""
    return Ending("cancelled", status_details("cancelled", reason=reason))


def ending(event: ReplyEnded | ReplyFailed) -> Ending:
    """How a reply that the engine has ended shows."""
    if isinstance(event, ReplyFailed):
        return failed(event)
    reasons: dict[str, Reason] = {
        "length": "max_output_tokens",
        "content_filter": "content_filter",
    }
    if reason := reasons.get(event.finish_reason):
        return Ending("incomplete", status_details("incomplete", reason=reason))
    return Ending("completed")


def failed(event: ReplyFailed | HearingFailed) -> Ending:
    """It broke off."""
    if event.reason == "refused":
        return Ending("incomplete", status_details("incomplete", reason="content_filter"))
    code = event.reason if event.reason in _OF_THE_USER else "server_error"
    details = status_details("failed", error_code=code, error_message=failure_message(event))
    return Ending("failed", details)


def failure_message(event: ReplyFailed | HearingFailed) -> str:
    """For the one who uses the client: which stage, and a word for the cause."""
    return f"{_STAGES[event.stage]} ({event.reason})."
