"""What ``POST /v1/chat/completions`` is asked for."""

import re
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings

from accounts.openai_fields import Fields, invalid, missing, unsupported, wrong_type
from chat.llm.base import Author, PromptMessage

_MOST_STOPS, _MOST_CHOICES = 4, 128
_AUTHORS: dict[str, Author] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_ROLE = re.compile(r"role:([1-9][0-9]{0,18})")
_BIGGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """The fields of the body that count here.

    Attributes:
        model: As it was named.
        messages: Oldest first; at least one.
        max_tokens: Of the reply; never more than the operator allows.
        temperature: 0 to 2.
        stop: Where the reply ends, before any of these.
        stream: Piece by piece.
        include_usage: A last piece of the stream says what was used.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool

    @property
    def instructions(self) -> str:
        """What the client's system messages say."""
        return "\n\n".join(m.content for m in self.messages if m.role == "system" and m.content)

    @property
    def talk(self) -> list[PromptMessage]:
        """What was said, without the system messages."""
        return [message for message in self.messages if message.role != "system"]


def role_id_of(model: str) -> int | None:
    """The id in ``role:<id>``; None for any other name."""
    match = _ROLE.fullmatch(model)
    role_id = int(match[1]) if match else 0
    return role_id if 0 < role_id <= _BIGGEST_ID else None


def read(fields: Fields) -> CompletionRequest:
    """Check the body. Raises ApiError (400).

    What would change the answer and is not done here is refused. Sampling parameters other
    than the temperature (``top_p``, ``seed``, penalties) and fields for the provider's
    bookkeeping are let pass without effect.
    """
    model = fields.text("model")
    messages = _messages(fields.get("messages"))
    if fields.integer("n", default=1, least=1, most=_MOST_CHOICES) != 1:
        raise unsupported("n", "there is one choice")
    if (fields.get("tools") or fields.get("functions")) and fields.get("tool_choice") != "none":
        raise unsupported("tools", "characters call no tools")
    if fields.get("logprobs"):
        raise unsupported("logprobs", "they are not known here")
    if fields.get("modalities") not in (None, ["text"]) or fields.get("audio"):
        raise unsupported("modalities", "the answer is text; /v1/audio/speech says it")
    if fields.get("response_format") not in (None, {"type": "text"}):
        raise unsupported("response_format", "characters answer in plain text")
    wanted = "max_completion_tokens"
    if fields.get(wanted) is None:
        wanted = "max_tokens"
    most: int = settings.LLM_MAX_TOKENS
    limit = fields.integer(wanted, default=most, least=1, most=2**31)
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong_type("stream_options", "an object", options)
    return CompletionRequest(
        model=model,
        messages=messages,
        max_tokens=min(limit, most),
        temperature=fields.number(
            "temperature", default=settings.LLM_TEMPERATURE, least=0.0, most=2.0
        ),
        stop=_stops(fields.get("stop")),
        stream=fields.flag("stream"),
        include_usage=Fields(options or {}).flag("include_usage"),
    )


def _messages(given: Any) -> tuple[PromptMessage, ...]:
    if given is None:
        raise missing("messages")
    if not isinstance(given, list):
        raise wrong_type("messages", "an array", given)
    if not given:
        raise invalid("messages", "expected one message at least")
    return tuple(_message(f"messages[{number}]", each) for number, each in enumerate(given))


def _message(name: str, given: Any) -> PromptMessage:
    if not isinstance(given, dict):
        raise wrong_type(name, "an object", given)
    author = given.get("role")
    if not isinstance(author, str) or author not in _AUTHORS:
        words = ", ".join(f"'{each}'" for each in _AUTHORS)
        raise invalid(f"{name}.role", f"supported values are: {words}")
    if given.get("tool_calls") or given.get("function_call"):
        raise unsupported(f"{name}.tool_calls", "characters call no tools")
    content = given.get("content")
    if content is None:
        raise missing(f"{name}.content")
    if isinstance(content, list):
        content = "".join(_part(f"{name}.content[{i}]", each) for i, each in enumerate(content))
    if not isinstance(content, str):
        raise wrong_type(f"{name}.content", "a string or an array", content)
    return PromptMessage(_AUTHORS[author], content)


def _part(name: str, given: Any) -> str:
    if not isinstance(given, dict):
        raise wrong_type(name, "an object", given)
    if given.get("type") != "text" or not isinstance(given.get("text"), str):
        raise invalid(name, "content parts of type 'text' are supported")
    return cast(str, given["text"])


def _stops(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise wrong_type("stop", "a string or an array of strings", given)
    if len(stops) > _MOST_STOPS or not all(stops):
        raise invalid("stop", f"expected at most {_MOST_STOPS} sequences, none of them empty")
    return tuple(stops)
