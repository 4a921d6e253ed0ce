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
)
from voice.fallback import Chain, Policy


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
            offline=all(provider.capabilities.offline for provider in providers.values())
        )

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[TextDelta | Completion]:
        """See `LanguageModel.stream`."""
        tokens: dict[str, float] = {}

        async def begin(model: LanguageModel) -> AsyncIterator[TextDelta | Completion]:
            items = model.stream(prompt, max_tokens=max_tokens, temperature=temperature)
            async with aclosing(cast(AsyncGenerator[TextDelta | Completion, None], items)) as open_:
                async for item in open_:
                    if isinstance(item, Completion):
                        tokens["prompt_tokens"] = item.prompt_tokens
                        tokens["completion_tokens"] = item.completion_tokens
                    yield item

        return self._chain.run(lambda _, model: begin(model), units=lambda: dict(tokens))

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        await self._chain.warm()

    async def aclose(self) -> None:
        await self._chain.aclose()
