"""The reply of a character, or of the operator's model, to a client that keeps the history."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from django.conf import settings

from accounts.openai_fields import invalid
from chat.completion_request import CompletionRequest
from chat.llm.base import Completion, LanguageModel, Prompt, PromptMessage, TextDelta
from chat.llm.tokens import estimate_tokens
from chat.prompt import PromptBuilder
from chat.stopping import StopFilter
from roles.models import Role


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a reply: why, and what it has used; tokens are estimated where nobody counted."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def prompt_of_role(asked: CompletionRequest, role: Role, user_name: str) -> Prompt:
    """The character's prompt with the client's history, cut from its old end where too long.

    The client's system messages stand behind the character and never in place of it. Takes
    some ms for a long history: call it in a thread.

    Raises:
        ApiError: The last message is not the user's, or says nothing.
    """
    talk = asked.talk
    if not talk or talk[-1].role != "user" or not talk[-1].content.strip():
        raise invalid("messages", "the last one must be the user's, and say something")
    extra = asked.instructions
    budget = settings.LLM_CONTEXT_TOKENS - asked.max_tokens - estimate_tokens(extra)
    prompt = PromptBuilder(
        role=role,
        user_name=user_name,
        summary="",
        history=[(message.role, message.content) for message in talk[:-1] if message.content],
        budget=budget,
    ).build(talk[-1].content)
    if not extra:
        return prompt
    character, *rest = prompt.messages
    return Prompt((character, PromptMessage("system", extra), *rest), prompt.persona)


async def reply(
    llm: LanguageModel, prompt: Prompt, asked: CompletionRequest
) -> AsyncGenerator[str | Ended, None]:
    """The reply in pieces that are not empty, then exactly one `Ended`.

    Raises:
        ProviderError: The model failed. Closing the iterator stops it.
    """
    stops = StopFilter(asked.stop)
    completion = Completion()
    written: list[str] = []
    items = llm.stream(prompt, max_tokens=asked.max_tokens, temperature=asked.temperature)
    async with aclosing(cast(AsyncGenerator[TextDelta | Completion, None], items)) as stream:
        async for item in stream:
            if isinstance(item, Completion):
                completion = item
                continue
            if text := stops.feed(item.text):
                written.append(text)
                yield text
            if stops.stopped:
                break
    if text := stops.finish():
        written.append(text)
        yield text
    yield Ended(
        completion.finish_reason,
        completion.prompt_tokens
        or sum(estimate_tokens(message.content) for message in prompt.messages),
        completion.completion_tokens or estimate_tokens("".join(written)),
    )
