"""A language model made of several: the next one answers when one fails."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import cast

from chat.llm.base import (
    Completion,
    LanguageModel,
    LanguageModelCapabilities,
    Prompt,
    TextDelta,
    ToolCallDelta,
)
from chat.llm.tokens import estimate_prompt, estimate_tokens
from voice.fallback import Chain, Policy

Item = TextDelta | ToolCallDelta | Completion


class FallbackLanguageModel:
    """Asks models in order; once a word was written, the reply stays with its writer.

    Args:
        providers: By registry name, the preferred first.
        policy: When to ask again.

    Raises:
        ValueError: There are no providers.
    """

    def __init__(
        self, providers: Mapping[str, LanguageModel], policy: Policy | None = None
    ) -> None:
        self._chain = Chain("llm", providers, policy or Policy())
        self.name = ",".join(providers)
        self.capabilities = LanguageModelCapabilities(
            offline=all(provider.capabilities.offline for provider in providers.values()),
            tools=any(provider.capabilities.tools for provider in providers.values()),
        )

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[Item]:
        """See `LanguageModel.stream`."""
        written: list[str] = []
        end = Completion()

        async def begin(model: LanguageModel) -> AsyncIterator[Item]:
            nonlocal end
            items = model.stream(prompt, max_tokens=max_tokens, temperature=temperature)
            async with aclosing(cast(AsyncGenerator[Item, None], items)) as open_items:
                async for item in open_items:
                    if isinstance(item, Completion):
                        end = item
                    elif isinstance(item, TextDelta):
                        written.append(item.text)
                    else:
                        written.append(item.name + item.arguments)
                    yield item

        return self._chain.run(
            lambda _, model: begin(model), units=lambda: _tokens(prompt, "".join(written), end)
        )

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()


def _tokens(prompt: Prompt, text: str, end: Completion) -> dict[str, float]:
    """As the provider counted them; estimated for a reply cut off, or where it does not say."""
    if end.prompt_tokens or end.completion_tokens:
        prompt_tokens, completion_tokens = end.prompt_tokens, end.completion_tokens
    elif text:
        prompt_tokens = estimate_prompt(prompt)
        completion_tokens = estimate_tokens(text)
    else:
        return {}
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
