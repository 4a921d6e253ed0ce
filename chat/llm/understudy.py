"""The understudy: plays a character from its card when no language model is configured."""

import asyncio
import re
from collections.abc import AsyncIterator

from chat.llm.base import Completion, LanguageModelCapabilities, Prompt, TextDelta
from chat.llm.persona_replies import reply
from chat.llm.tokens import estimate_prompt, estimate_tokens
from voice.errors import ProviderError

# A word with its blank, or up to three Chinese characters: what real models send at once.
_PIECE = re.compile(r"[A-Za-z0-9'’-]+\s?|[\u3400-\u9fff]{1,3}|\s+|.", re.DOTALL)


class Understudy:
    """A ``LanguageModel`` without a model: deterministic, offline, in character.

    The same prompt always gives the same text. It reads ``Prompt.persona`` and the messages
    of the person and the character; it calls no functions, and ``temperature`` means
    nothing to it.

    Args:
        characters_per_second: The pace of the stream; 0 sends as fast as it is read.
    """

    name = "understudy"

    def __init__(self, *, characters_per_second: float = 120.0) -> None:
        if characters_per_second < 0:
            raise ValueError("characters_per_second must not be negative")
        self.capabilities = LanguageModelCapabilities(offline=True)
        self._pace = characters_per_second
        self._closed = False

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[TextDelta | Completion]:
        """Write the next reply; the contract is that of ``LanguageModel.stream``.

        The first piece comes at once. Cancelling the task or closing the iterator stops it.

        Raises:
            ProviderError: ``bad_request`` where there is no message to answer.
            RuntimeError: The understudy was closed.
        """
        if self._closed:
            raise RuntimeError("the understudy is closed")
        if max_tokens < 1:
            raise ProviderError(
                "max_tokens must be 1 or more", provider=self.name, reason="bad_request"
            )
        try:
            text = reply(prompt)
        except ValueError as error:
            raise ProviderError(str(error), provider=self.name, reason="bad_request") from error
        spoken, finish = "", "stop"
        for piece in _PIECE.findall(text):
            if estimate_tokens(spoken + piece) > max_tokens:
                finish = "length"
                break
            spoken += piece
            yield TextDelta(piece)
            if self._pace:
                await asyncio.sleep(len(piece) / self._pace)
        yield Completion(
            finish_reason=finish,
            prompt_tokens=estimate_prompt(prompt),
            completion_tokens=estimate_tokens(spoken),
        )

    async def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Further use is an error; streams that are running go on to their end."""
        self._closed = True
