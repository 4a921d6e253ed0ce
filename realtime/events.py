"""The server's events, one function each: GA's words, without ``event_id``.

What clients that check strictly need is kept here: absent instead of null where the official
types have no null, whole milliseconds, a ``content_index`` wherever one can be, ``text`` and
``audio`` (not ``output_…``) as the types of content parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

Event = dict[str, Any]
Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
Reason = Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]

_IN_AUDIO_TOKENS = 10  # a second of what the user said
_OUT_AUDIO_TOKENS = 20  # a second of what was synthesised


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a response something stands."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0

    def of_part(self) -> Event:
        """The fields of an event about a content part."""
        return {**self.of_item(), "content_index": self.content_index}

    def of_item(self) -> Event:
        """The fields of an event about an item."""
        return {
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": self.output_index,
        }


class Usage(TypedDict):
    """What a response has used; the details have the same in parts."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: Mapping[str, Any]
    output_token_details: Mapping[str, int]


def usage(
    *,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    cached_tokens: int = 0,
    heard_seconds: float = 0.0,
    spoken_seconds: float = 0.0,
) -> Usage:
    """The ``usage`` of a response.

    Args:
        prompt_tokens: Of the language model.
        completion_tokens: The same.
        cached_tokens: Those of ``prompt_tokens`` that the provider had in its cache.
        heard_seconds: Of the user's speech that it answers.
        spoken_seconds: Of speech that was synthesised, heard or not.
    """
    audio_in = round(heard_seconds * _IN_AUDIO_TOKENS)
    audio_out = round(spoken_seconds * _OUT_AUDIO_TOKENS)
    return {
        "total_tokens": prompt_tokens + audio_in + completion_tokens + audio_out,
        "input_tokens": prompt_tokens + audio_in,
        "output_tokens": completion_tokens + audio_out,
        "input_token_details": {
            "text_tokens": prompt_tokens,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": cached_tokens,
            "cached_tokens_details": {
                "text_tokens": cached_tokens,
                "audio_tokens": 0,
                "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": completion_tokens, "audio_tokens": audio_out},
    }


# --- the session


def session_created(session: Mapping[str, Any]) -> Event:
    """The first event of all; ``session`` is `SessionConfig.render`'s."""
    return {"type": "session.created", "session": session}


def session_updated(session: Mapping[str, Any]) -> Event:
    """The same, after every ``session.update``."""
    return {"type": "session.updated", "session": session}


# --- what the user says


def speech_started(item_id: str, audio_start_ms: float) -> Event:
    """Somebody speaks; ``item_id`` is that of the item to come."""
    start = int(audio_start_ms)
    return {
        "type": "input_audio_buffer.speech_started",
        "audio_start_ms": start,
        "item_id": item_id,
    }


def speech_stopped(item_id: str, audio_end_ms: float) -> Event:
    """The utterance has ended."""
    end = int(audio_end_ms)
    return {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end, "item_id": item_id}


def timeout_triggered(item_id: str, audio_start_ms: float, audio_end_ms: float) -> Event:
    """Nobody has spoken for so long that the character speaks up."""
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "audio_start_ms": int(audio_start_ms),
        "audio_end_ms": int(audio_end_ms),
        "item_id": item_id,
    }


def buffer_committed(item_id: str, previous_item_id: str | None) -> Event:
    """What was buffered is an item now."""
    return {
        "type": "input_audio_buffer.committed",
        "previous_item_id": previous_item_id,
        "item_id": item_id,
    }


def buffer_cleared() -> Event:
    """The answer to ``input_audio_buffer.clear``, always."""
    return {"type": "input_audio_buffer.cleared"}


def transcription_delta(item_id: str, delta: str, content_index: int = 0) -> Event:
    """More was understood of what the user said."""
    return {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": item_id,
        "content_index": content_index,
        "delta": delta,
    }


def transcription_completed(
    item_id: str, transcript: str, seconds: float, content_index: int = 0
) -> Event:
    """All that was understood; ``seconds`` of audio."""
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": item_id,
        "content_index": content_index,
        "transcript": transcript,
        "usage": {"type": "duration", "seconds": round(seconds, 3)},
    }


def transcription_failed(
    item_id: str,
    message: str,
    *,
    code: str = "transcription_failed",
    content_index: int = 0,
) -> Event:
    """It could not be recognised; the turn goes on."""
    return {
        "type": "conversation.item.input_audio_transcription.failed",
        "item_id": item_id,
        "content_index": content_index,
        "error": {"type": "server_error", "code": code, "message": message},
    }


# --- items; ``item`` is always `Item.render`'s


def item_added(item: Mapping[str, Any], previous_item_id: str | None) -> Event:
    """An item stands in the conversation."""
    return {
        "type": "conversation.item.added",
        "previous_item_id": previous_item_id,
        "item": item,
    }


def item_done(item: Mapping[str, Any], previous_item_id: str | None) -> Event:
    """It is complete: follows every ``added``."""
    return {"type": "conversation.item.done", "previous_item_id": previous_item_id, "item": item}


def item_retrieved(item: Mapping[str, Any]) -> Event:
    """The answer to ``conversation.item.retrieve``."""
    return {"type": "conversation.item.retrieved", "item": item}


def item_deleted(item_id: str) -> Event:
    """The answer to ``conversation.item.delete``."""
    return {"type": "conversation.item.deleted", "item_id": item_id}


def item_truncated(item_id: str, content_index: int, audio_end_ms: float) -> Event:
    """The answer to ``conversation.item.truncate``."""
    return {
        "type": "conversation.item.truncated",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": int(audio_end_ms),
    }


# --- responses


def status_details(
    status: Status,
    *,
    reason: Reason | None = None,
    error_code: str = "",
    error_message: str = "",
) -> dict[str, Any] | None:
    """Why a response ended as it did.

    Args:
        status: Of the response; what was completed has no details.
        reason: Of one that was cancelled or is incomplete.
        error_code: Of the error of one that failed.
        error_message: The same.
    """
    if status in ("in_progress", "completed"):
        return None
    details: dict[str, Any] = {"type": status}
    if reason:
        details["reason"] = reason
    if status == "failed":
        code = error_code or "server_error"
        details["error"] = {"type": "server_error", "code": code, "message": error_message}
    return details


def response_object(
    response_id: str,
    described: Mapping[str, Any],
    *,
    status: Status = "in_progress",
    output: Iterable[Mapping[str, Any]] = (),
    usage: Usage | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The ``response`` of ``response.created`` and ``response.done``.

    Args:
        response_id: Its id.
        described: `ResponseOptions.describe`.
        status: Of the response.
        output: Its items, rendered.
        usage: None until it is done; then always there.
        details: `status_details`.
    """
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": details,
        "output": list(output),
        **described,
        "usage": usage,
    }


def response_created(response: Mapping[str, Any]) -> Event:
    """A response begins."""
    return {"type": "response.created", "response": response}


def response_done(response: Mapping[str, Any]) -> Event:
    """It has ended; nothing comes of it any more."""
    return {"type": "response.done", "response": response}


def rate_limits_updated(limits: Iterable[Mapping[str, Any]]) -> Event:
    """What is left; of each limit only what is known."""
    known = [{key: each[key] for key in each if each[key] is not None} for each in limits]
    named = [each for each in known if each.get("name") in ("requests", "tokens")]
    return {"type": "rate_limits.updated", "rate_limits": named}


def output_item_added(place: Place, item: Mapping[str, Any]) -> Event:
    """An item of a response begins."""
    return _output_item("response.output_item.added", place, item)


def output_item_done(place: Place, item: Mapping[str, Any]) -> Event:
    """It is complete, or broke off."""
    return _output_item("response.output_item.done", place, item)


def content_part_added(place: Place, *, audio: bool) -> Event:
    """A part of an item's content begins."""
    return _content_part("response.content_part.added", place, "", audio=audio)


def content_part_done(place: Place, text: str, *, audio: bool) -> Event:
    """It is complete: ``text`` is its transcript, or its text."""
    return _content_part("response.content_part.done", place, text, audio=audio)


def text_delta(place: Place, delta: str) -> Event:
    """More of a reply in text."""
    return {"type": "response.output_text.delta", **place.of_part(), "delta": delta}


def text_done(place: Place, text: str) -> Event:
    """All of it."""
    return {"type": "response.output_text.done", **place.of_part(), "text": text}


def audio_delta(place: Place, audio: str) -> Event:
    """More of a reply's speech: base64 in the response's format."""
    return {"type": "response.output_audio.delta", **place.of_part(), "delta": audio}


def audio_done(place: Place) -> Event:
    """There is no more."""
    return {"type": "response.output_audio.done", **place.of_part()}


def transcript_delta(place: Place, delta: str) -> Event:
    """What the audio that follows says."""
    return {"type": "response.output_audio_transcript.delta", **place.of_part(), "delta": delta}


def transcript_done(place: Place, transcript: str) -> Event:
    """All that was said."""
    return {
        "type": "response.output_audio_transcript.done",
        **place.of_part(),
        "transcript": transcript,
    }


def call_arguments_delta(place: Place, call_id: str, delta: str) -> Event:
    """More of a function call's arguments."""
    return {
        "type": "response.function_call_arguments.delta",
        **place.of_item(),
        "call_id": call_id,
        "delta": delta,
    }


def call_arguments_done(place: Place, call_id: str, name: str, arguments: str) -> Event:
    """All of them."""
    return {
        "type": "response.function_call_arguments.done",
        **place.of_item(),
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def _output_item(kind: str, place: Place, item: Mapping[str, Any]) -> Event:
    return {
        "type": kind,
        "response_id": place.response_id,
        "output_index": place.output_index,
        "item": item,
    }


def _content_part(kind: str, place: Place, text: str, *, audio: bool) -> Event:
    part = {"type": "audio", "transcript": text} if audio else {"type": "text", "text": text}
    return {"type": kind, **place.of_part(), "part": part}
