"""What every language model is: messages in, pieces of text out."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Author = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the client's functions, as the model wrote it.

    Attributes:
        id: Links the call with its output.
        name: Of the function.
        arguments: JSON as the model wrote it; it may be broken.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt.

    Attributes:
        role: Whose it is; ``tool`` for the output of a function.
        content: What was said; may be empty beside ``tool_calls``.
        tool_calls: What the assistant called in this message.
        tool_call_id: Of a ``tool`` message, the call that it answers.
    """

    role: Author
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client that the model may call.

    Attributes:
        name: What the model calls it.
        description: When to call it.
        parameters: JSON schema of its arguments.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


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
        messages: Oldest first; the last one is the user's, a function's output, or a system
            line that asks for the character's next words (``unasked``).
        persona: The same character as data; adapters of real models ignore it.
        tools: What the model may call; empty for nothing.
        tool_choice: ``auto``, ``none``, ``required``, or the name of the one function that
            is to be called, as ``function:<name>``.
    """

    messages: tuple[PromptMessage, ...]
    persona: Persona | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"

    @property
    def unasked(self) -> bool:
        """Whether nobody waits for an answer: the prompt itself asks for the next words."""
        roles = [message.role for message in self.messages]
        while roles and roles[-1] == "system":
            roles.pop()
        after = len(self.messages) - len(roles)
        return after > 0 and (roles[-1] == "assistant" if roles else after > 1)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply, as the model wrote it; empty while it only thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a call. The first one of each call has its id and name.

    Attributes:
        index: Which call of this reply, from 0; calls come one after the other.
        id: Never empty in the first piece: made up where the provider gives none.
        name: The same.
        arguments: The next piece of the JSON; may be empty.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a reply; always the last item.

    Attributes:
        finish_reason: ``stop``, ``length``, ``content_filter`` or ``tool_calls``.
        prompt_tokens: As the provider counted them; 0 where it does not say.
        completion_tokens: The same for the reply.
        cached_tokens: Those of ``prompt_tokens`` that the provider had in its cache.
    """

    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LanguageModelCapabilities:
    """What the pipeline may rely on.

    Attributes:
        offline: The answer comes from no language model at all (the understudy).
        tools: It can call functions; where it cannot, ``Prompt.tools`` is ignored.
    """

    offline: bool = False
    tools: bool = False


@runtime_checkable
class LanguageModel(Protocol):
    """Text generation."""

    name: str
    capabilities: LanguageModelCapabilities

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float = 0.8
    ) -> AsyncIterator[TextDelta | ToolCallDelta | Completion]:
        """Write the next reply.

        Args:
            prompt: The conversation so far.
            max_tokens: Upper bound of the reply.
            temperature: 0 to 2.

        Yields:
            Pieces of text and of calls in order, then exactly one ``Completion``. Calls come
            only where the prompt has tools, and after the text.

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
