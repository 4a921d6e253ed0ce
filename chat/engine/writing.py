"""The model's part of a reply. No Django."""

from collections.abc import AsyncGenerator

from chat.engine.stages import Deadlines, closing, next_of, within
from chat.llm.base import Completion, LanguageModel, Prompt, TextDelta, ToolCallDelta


async def written(
    llm: LanguageModel,
    prompt: Prompt,
    *,
    max_tokens: int,
    temperature: float,
    deadlines: Deadlines,
) -> AsyncGenerator[TextDelta | ToolCallDelta | Completion, None]:
    """What the model writes: pieces that are not empty, then exactly one ``Completion``.

    Thoughts of the model, which come as empty pieces, are waited for as its first word is.

    Raises:
        TurnFailed: In ``llm``. Closing the iterator closes the provider's connection.
    """
    stream = llm.stream(prompt, max_tokens=max_tokens, temperature=temperature)
    async with closing(stream) as items:
        patience = deadlines.llm_first
        while (item := await within(patience, "llm", next_of(items))) is not None:
            if isinstance(item, TextDelta) and not item.text:
                continue
            patience = deadlines.llm_next
            yield item
