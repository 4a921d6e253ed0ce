"""``POST /v1/chat/completions``: talk with a character (``role:<id>``), in OpenAI's words."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.openai_fields import json_fields, no_model
from accounts.openai_http import Stream, endpoint, event
from chat import providers
from chat.completion_request import CompletionRequest, read, role_id_of
from chat.completions import Ended, prompt_of_role, reply
from chat.llm.base import Prompt
from roles.selectors import role_find
from voice.errors import ProviderError
from voice.metering import metered
from voice.openai_failures import api_error, provider_failures

logger = structlog.get_logger(__name__)

Pieces = AsyncGenerator[str | Ended, None]


@endpoint("POST", budgets=("tokens",))
async def create_completion(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """Write the next message of a conversation that the client keeps."""
    asked = await asyncio.to_thread(lambda: read(json_fields(request)))
    role_id, prompt = await _prompt(asked, credential)
    pieces = _metered(asked, prompt, credential, role_id)
    frame = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk" if asked.stream else "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
    }
    with provider_failures():
        if asked.stream:
            events = _events(pieces, frame, include_usage=asked.include_usage)
            return await Stream.begin(events, "text/event-stream")
        return await _whole(pieces, frame)


async def _prompt(asked: CompletionRequest, credential: Credential) -> tuple[int | None, Prompt]:
    """The character's id, if it is one, and what the model is given."""
    role_id = role_id_of(asked.model)
    if role_id is None:
        if not settings.LLM_BASE_URL or asked.model != settings.LLM_MODEL:
            raise no_model(asked.model)
        return None, Prompt(asked.messages)
    role = await in_database_thread(role_find, role_id=role_id)
    if role is None:
        raise no_model(asked.model)
    # Counting the tokens of a long history takes its time.
    user_name = credential.user.username
    return role_id, await asyncio.to_thread(prompt_of_role, asked, role, user_name)


async def _metered(
    asked: CompletionRequest, prompt: Prompt, credential: Credential, role_id: int | None
) -> Pieces:
    async with (
        metered(credential, role_id=role_id),
        aclosing(reply(providers.current().llm, prompt, asked)) as pieces,
    ):
        async for piece in pieces:
            yield piece


async def _whole(pieces: Pieces, frame: dict[str, Any]) -> HttpResponseBase:
    text, ended = "", Ended("stop", 0, 0)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Ended):
                ended = piece
            else:
                text += piece
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": ended.finish_reason,
    }
    body = {**frame, "choices": [choice], "usage": _usage(ended)}
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


async def _events(
    pieces: Pieces, frame: dict[str, Any], *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    usage = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**frame, "choices": [choice], **usage})

    begun = False
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if not begun:
                    begun = True
                    yield chunk({"role": "assistant", "content": ""})
                if not isinstance(piece, Ended):
                    yield chunk({"content": piece})
                    continue
                yield chunk({}, piece.finish_reason)
                if include_usage:
                    yield event({**frame, "choices": [], "usage": _usage(piece)})
    except ProviderError as error:
        if not begun:
            raise
        logger.warning("reply broke off", provider=error.provider, why=str(error))
        yield event(api_error(error).body())
        return
    yield b"data: [DONE]\n\n"


def _usage(ended: Ended) -> dict[str, int]:
    return {
        "prompt_tokens": ended.prompt_tokens,
        "completion_tokens": ended.completion_tokens,
        "total_tokens": ended.prompt_tokens + ended.completion_tokens,
    }
