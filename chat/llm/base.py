"""What every language model is: messages in, pieces of text out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Author = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt."""

    role: Author
    content: str


@dataclass(frozen=True, slots=True)
class Persona:
    """The character as data, for a model that plays it without reading prose (the understudy).

    Attributes:
        name: The character's name.
        user_name: What the character calls the person it talks with.
        language: ``zh`` or ``en``: the language the character answers in by default.
        description: Who the character is.
        personality: How it behaves.
        scenario: Where and when the talk takes place.
        greeting: Its first words.
        examples: Pairs of (what a person says, what the character answers).
        lore: Facts that the context builder found fitting for this turn.
    """

    name: str
    user_name: str = ""
    language: str = "zh"
    description: str = ""
    personality: str = ""
    scenario: str = ""
    greeting: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    lore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is given for one reply.

    Attributes:
        messages: Oldest first; the last one is the user's.
        persona: The same character as data; adapters of real models ignore it.
    """

    messages: tuple[PromptMessage, ...]
    persona: Persona | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply, as the model wrote it; empty while it only thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a reply; always the last item.

    Attributes:
        finish_reason: ``stop``, ``length`` or ``content_filter``.
        prompt_tokens: As the provider counted them; 0 where it does not say.
        completion_tokens: The same for the reply.
    """

    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LanguageModelCapabilities:
    """What the pipeline may rely on.

    Attributes:
        offline: The answer comes from no language model at all (the understudy).
    """

    offline: bool = False


@runtime_checkable
class LanguageModel(Protocol):
    """Text generation."""

    name: str
    capabilities: LanguageModelCapabilities

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[TextDelta | Completion]:
        """Write the next reply.

        Args:
            prompt: The conversation so far.
            max_tokens: Upper bound of the reply.
            temperature: 0 to 2.

        Yields:
            Pieces of text in order, then exactly one ``Completion``.

        Raises:
            ProviderError: The model failed; ``incomplete`` when text had already come.
                Closing the iterator (``aclose``) closes the provider's connection.
        """
        ...

    async def warm(self) -> None:
        """Load what the first reply would else wait for. Nothing is asked of a server."""
        ...

    async def aclose(self) -> None:
        """Release connections; further use is an error."""
        ...
