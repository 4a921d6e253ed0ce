"""Language models behind an OpenAI-compatible ``/v1/chat/completions``.

OpenAI, DashScope's compatible mode, DeepSeek, Qiniu, OpenRouter, Ollama, vLLM, llama.cpp.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import openai
from openai import AsyncAPIResponse

from chat.llm.base import (
    Completion,
    LanguageModelCapabilities,
    Prompt,
    TextDelta,
    ToolCallDelta,
)
from chat.llm.halves import Halves
from chat.llm.thinking import ThinkFilter
from chat.llm.tool_calls import ToolCalls, message_fields, tool_fields
from voice.errors import ProviderError, Reason
from voice.http_errors import reason_of
from voice.openai_client import ERRORS, open_client, probe_client, provider_error, warm_client
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT

# Fields that some servers or models refuse, with the way to do without each.
_FLEXIBLE = ("stream_options", "max_tokens", "temperature")
# Whatever a server answers to functions that it does not know: Ollama 400, OpenRouter 404,
# llama.cpp 500.
_WITHOUT_TOOLS = frozenset({400, 404, 422, 500, 501})
_DRAIN_TIMEOUT = 0.25


@dataclass(slots=True)
class _Reply:
    """What is known of a reply while it streams."""

    begun: bool = False
    done: bool = False
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    calls: ToolCalls = field(default_factory=ToolCalls)


class OpenAILanguageModel:
    """Streams replies of one model of one server.

    Reasoning (``reasoning_content`` or ``<think>`` blocks) is dropped: empty pieces of text
    stand for it, so that a model that thinks is not taken for one that is gone. Where a server
    refuses ``stream_options``, ``max_tokens`` or ``temperature``, the request is made once
    more without (``max_tokens`` becomes ``max_completion_tokens``), and what helped is
    remembered. A request whose ``tools`` or ``tool_choice`` it refuses is made without them
    too, each time anew: it may be the client's schema that it does not take.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        model: The server's name of the model.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without a byte after which the reply counts as lost.
        name: Registry name, for errors.
    """

    capabilities = LanguageModelCapabilities(tools=True)

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "openai",
    ) -> None:
        self.name = name
        self._model = model
        self._client = open_client(
            base_url=base_url,
            api_key=api_key,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._refused: frozenset[str] = frozenset()
        self._proven = False  # a request of the present form has been accepted

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[TextDelta | ToolCallDelta | Completion]:
        """See `LanguageModel.stream`.

        A reply that the content filter stops before its first word raises ``refused``;
        one stopped later ends with that finish reason. Text after a call is left out.
        """
        fields: dict[str, Any] = {
            "model": self._model,
            "messages": _messages(prompt),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens,
            "temperature": temperature,
            **tool_fields(prompt),
        }
        reply, halves, thoughts = _Reply(), Halves(), ThinkFilter()
        try:
            async with contextlib.AsyncExitStack() as stack:
                response = await self._open(stack, fields)
                async for piece in self._contents(response, reply):
                    if isinstance(piece, str):
                        text = thoughts.feed(halves.feed(piece))
                        reply.begun = reply.begun or bool(text)
                        yield TextDelta(text)
                        continue
                    if text := thoughts.feed(halves.finish()) + thoughts.finish():
                        yield TextDelta(text)
                    reply.begun = True
                    yield piece
        except ERRORS as error:
            # After the finish reason only the usage can have been lost.
            if not reply.finish_reason:
                raise provider_error(error, provider=self.name, begun=reply.begun) from error
        if not reply.finish_reason and not reply.done:
            raise self._failure("ended its reply without a finish reason", reply.begun)
        if reply.finish_reason == "insufficient_system_resource":  # DeepSeek, overloaded
            raise self._failure("ran out of resources", reply.begun)
        if text := thoughts.feed(halves.finish()) + thoughts.finish():
            reply.begun = True
            yield TextDelta(text)
        try:
            for call in reply.calls.finish():
                reply.begun = True
                yield call
        except ValueError as error:
            raise self._failure(f"sent {error}", reply.begun) from error
        if reply.finish_reason == "content_filter" and not reply.begun:
            raise self._failure("filtered the whole reply", reason="refused")
        broken = reply.finish_reason in ("length", "content_filter")
        finish = reply.finish_reason if broken else "tool_calls" if reply.calls else "stop"
        yield Completion(finish, reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)

    async def warm(self) -> None:
        """See `LanguageModel.warm`."""
        await warm_client()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await probe_client(self._client, self.name)

    async def aclose(self) -> None:
        await self._client.close()

    async def _open(
        self, stack: contextlib.AsyncExitStack, fields: dict[str, Any]
    ) -> AsyncAPIResponse[Any]:
        """Make the request, and make it again without the fields that the server refuses."""
        refused = self._refused
        while True:
            # Past the package's own models: they cost 9 ms of CPU for a prompt of 20 messages
            # and 200 µs for a token.
            request = self._client.chat.completions.with_streaming_response.create(
                model=self._model, messages=[], extra_body=_without(fields, refused)
            )
            try:
                response: AsyncAPIResponse[Any] = await stack.enter_async_context(request)
            except openai.APIStatusError as error:
                without = _refused_tools(error, fields.keys() - refused)
                if not without and (named := self._refused_field(error, refused)):
                    without = {named}
                if not without:
                    raise
                refused |= without
            else:
                self._refused, self._proven = refused - {"tools", "tool_choice"}, True
                return response

    def _refused_field(self, error: openai.APIStatusError, refused: frozenset[str]) -> str | None:
        """The field to try without, if any."""
        if error.status_code not in (400, 422):
            return None
        if reason_of(error.status_code, error.code, error.message) != "bad_request":
            return None
        text = f"{error.param} {error.message} {error.body}"
        for name in _FLEXIBLE:
            if name in text and name not in refused:
                return name
        # An unknown field that is not named: the one that old servers stumble over.
        return None if self._proven or refused else "stream_options"

    async def _contents(
        self, response: AsyncAPIResponse[Any], reply: _Reply
    ) -> AsyncIterator[str | ToolCallDelta]:
        """Content, empty for thoughts, then calls; the rest is noted in ``reply``."""
        events = _events(response.iter_bytes())
        async for data in events:
            if data == b"[DONE]":
                reply.done = True
                # The end of the body comes with it as a rule; read, it saves the connection.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_TIMEOUT):
                        async for _ in events:
                            pass
                return
            try:
                event = json.loads(data)
                if error := event.get("error"):
                    raise self._event_failure(error, reply.begun)
                if usage := event.get("usage"):
                    reply.prompt_tokens = usage.get("prompt_tokens") or 0
                    reply.completion_tokens = usage.get("completion_tokens") or 0
                    reply.cached_tokens = _cached(usage)
                for choice in event.get("choices") or ():
                    reply.finish_reason = choice.get("finish_reason") or reply.finish_reason
                    delta = choice.get("delta") or {}
                    content = "" + (delta.get("content") or "")
                    if reply.calls:
                        content = ""
                    if content or delta.get("reasoning_content") or delta.get("reasoning"):
                        yield content
                    for piece in delta.get("tool_calls") or ():
                        for call in reply.calls.feed(piece):
                            yield call
            except (ValueError, TypeError, AttributeError) as error:
                raise self._failure("sent an event that cannot be read", reply.begun) from error

    def _event_failure(self, error: object, begun: bool) -> ProviderError:
        """The meaning of an error object in place of an event."""
        details = error if isinstance(error, dict) else {"message": error}
        code = details.get("code")
        status = code if isinstance(code, int) else 400 if code else 500
        reason = reason_of(status, str(code), str(details.get("message")))
        if reason == "bad_request":
            reason = "unavailable"  # it had taken the request
        return self._failure(f"failed: {str(details.get('message'))[:200]}", begun, reason)

    def _failure(
        self, message: str, begun: bool = False, reason: Reason = "unavailable"
    ) -> ProviderError:
        return ProviderError(
            f"{self.name} {message}",
            provider=self.name,
            reason="incomplete" if begun else reason,
        )


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The messages of a request.

    Many servers want to see somebody waiting for an answer: where the prompt itself asks for
    the next words, it asks in the user's name.
    """
    messages = [message_fields(message) for message in prompt.messages]
    if prompt.unasked:
        messages[-1]["role"] = "user"
    return messages


def _refused_tools(error: openai.APIStatusError, sent: set[str]) -> set[str]:
    """What of the functions to try without, if any."""
    told = f"{error.param} {error.message} {error.body}" if "tools" in sent else ""
    if error.status_code not in _WITHOUT_TOOLS or "tool" not in told:
        return set()
    only_choice = "tool_choice" in told and "tool_choice" in sent
    return {"tool_choice"} if only_choice else {"tools", "tool_choice"}


def _cached(usage: dict[str, Any]) -> int:
    """Tokens of the prompt that were in the server's cache; DeepSeek has a field of its own."""
    details = usage.get("prompt_tokens_details") or {}
    return details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0


def _without(fields: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    kept = {name: value for name, value in fields.items() if name not in refused}
    if "max_tokens" in refused:
        kept["max_completion_tokens"] = fields["max_tokens"]
    return kept


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of server-sent events of one line each, which is all that this API sends.

    Lines end at line feeds only: text in JSON may hold U+2028 and its like.
    """
    held = b""
    async for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if held.startswith(b"data:"):
        yield held[5:].strip()
