"""What one response is made with: the session's settings and what ``response.create`` changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chat.llm.base import Tool
from realtime.audio_formats import OutputFormat, parse_output_format, render_format
from realtime.clean_text import clean
from realtime.config import SessionConfig
from realtime.conversation import MOST_TEXT
from realtime.errors import ProtocolError, invalid, unsupported
from realtime.fields import Fields
from realtime.items import Item
from realtime.session_fields import (
    LONGEST_INSTRUCTIONS,
    Modality,
    parse_max_tokens,
    parse_modality,
    parse_prompt,
    parse_temperature,
    parse_voice,
    render_max_tokens,
)
from realtime.setup import Setup
from realtime.tools import effective_tool_choice, parse_tool_choice, parse_tools

MOST_METADATA = 16
MOST_INPUT = 1_000


@dataclass(frozen=True, slots=True)
class ItemReference:
    """An item of the conversation in ``response.input``, by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """A snapshot: what the session is set to later does not change a response.

    Attributes:
        modality: ``audio`` has a transcript with it.
        voice: Who speaks.
        speed: Of the voice.
        output_format: Of the audio.
        instructions: The client's; empty for none beside the character's own.
        tools: What the model may call.
        tool_choice: As in ``Prompt``; it never names a tool that is not there.
        max_tokens: None for ``inf``.
        temperature: None takes the operator's.
        metadata: Echoed with the response; None for none.
        conversation: ``none`` is out of band: nothing of it is kept.
        input: Replaces the history; empty for no context at all; None for the history.
        prompt: Names another character for this response; None for the session's.
    """

    modality: Modality = "audio"
    voice: str = ""
    speed: float = 1.0
    output_format: OutputFormat = "pcm16"
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    metadata: Mapping[str, str] | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: tuple[Item | ItemReference, ...] | None = None
    prompt: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, config: SessionConfig) -> "ResponseOptions":
        """Those of a response that nobody asked for in particular."""
        return cls(
            modality=config.modality,
            voice=config.voice,
            speed=config.speed,
            output_format=config.output_format,
            instructions=config.instructions,
            tools=config.tools,
            tool_choice=effective_tool_choice(config.tool_choice, config.tools),
            max_tokens=config.max_tokens,
            temperature=config.temperature,
        )

    @classmethod
    def parse(
        cls,
        response: object,
        config: SessionConfig,
        setup: Setup,
        *,
        extensions: bool,
    ) -> "ResponseOptions":
        """Those of a ``response.create`` (in GA's shape); null and absent take the session's.

        Args:
            response: Its ``response`` field; None for none.
            config: Of the session, now.
            setup: Of the session; its ``character`` is the one that answers, also where
                ``response.prompt`` names another than the session's.
            extensions: See `SessionConfig.updated`.

        Raises:
            ProtocolError: ``invalid_value``, ``missing_required_parameter``,
                ``unsupported_value``, ``cannot_update_voice``.
        """
        base = cls.of(config)
        fields = Fields({} if response is None else response, "response")
        audio = fields.inner("audio").inner("output")
        tools = base.tools if fields.get("tools") is None else parse_tools(fields)
        choice = config.tool_choice
        if fields.get("tool_choice") is not None:
            choice = parse_tool_choice(fields)
        return cls(
            modality=parse_modality(fields, base.modality),
            voice=_parse_voice(audio, config.asked_voice or setup.character.voice, setup),
            speed=base.speed,
            output_format=parse_output_format(audio, base.output_format, extensions=extensions),
            instructions=fields.text(
                "instructions", longest=LONGEST_INSTRUCTIONS, default=base.instructions
            ),
            tools=tools,
            tool_choice=effective_tool_choice(choice, tools),
            max_tokens=parse_max_tokens(fields, base.max_tokens, setup.most_tokens),
            temperature=(
                parse_temperature(fields, base.temperature) if extensions else base.temperature
            ),
            metadata=_parse_metadata(fields),
            conversation=fields.choice("conversation", ("auto", "none"), default="auto"),
            input=_parse_input(fields),
            prompt=_parse_prompt(fields, setup),
        )

    def answers(self, item_id: str) -> bool:
        """Whether an item of the conversation is among what is answered."""
        return self.input is None or ItemReference(item_id) in self.input

    def describe(self, conversation_id: str) -> dict[str, Any]:
        """What of it the ``response`` object of the events shows, from created to done.

        Args:
            conversation_id: Of the session; out of band it is null.
        """
        described: dict[str, Any] = {
            "conversation_id": conversation_id if self.conversation == "auto" else None,
            "output_modalities": [self.modality],
            "max_output_tokens": render_max_tokens(self.max_tokens),
            "audio": {"output": {"format": render_format(self.output_format), "voice": self.voice}},
            "metadata": None if self.metadata is None else dict(self.metadata),
        }
        if self.temperature is not None:
            described["temperature"] = self.temperature
        return described


def _parse_voice(audio: Fields, default: str, setup: Setup) -> str:
    voice = default if audio.get("voice") is None else parse_voice(audio, setup)
    if voice != default and "voice" in setup.locked:
        raise ProtocolError(
            "cannot_update_voice",
            "Cannot update a conversation's voice with this key, which is bound to one.",
            param=audio.at("voice"),
        )
    return voice


def _parse_prompt(fields: Fields, setup: Setup) -> dict[str, Any] | None:
    prompt = parse_prompt(fields)
    if prompt is not None and "prompt" in setup.locked:
        raise invalid(fields.at("prompt"), "none: this key is bound to one")
    return prompt


def _parse_metadata(fields: Fields) -> dict[str, str] | None:
    if fields.get("metadata") is None:
        return None
    path = fields.at("metadata")
    pairs = fields.get("metadata")
    if not isinstance(pairs, Mapping) or len(pairs) > MOST_METADATA:
        raise invalid(path, f"an object of at most {MOST_METADATA} pairs")
    for key, value in pairs.items():
        if not isinstance(value, str) or len(key) > 64 or len(value) > 512:
            raise invalid(path, "keys of at most 64 and strings of at most 512 characters")
    return {clean(key): clean(value) for key, value in pairs.items()}


def _parse_input(fields: Fields) -> tuple[Item | ItemReference, ...] | None:
    if fields.get("input") is None:
        return None
    path = fields.at("input")
    parsed = tuple(
        _parse_input_item(each, f"{path}[{number}]")
        for number, each in enumerate(fields.items("input", most=MOST_INPUT))
    )
    if sum(each.length for each in parsed if isinstance(each, Item)) > MOST_TEXT:
        raise invalid(path, f"items of at most {MOST_TEXT} characters in all")
    return parsed


def _parse_input_item(value: object, path: str) -> Item | ItemReference:
    fields = Fields(value, path)
    if fields.get("type") == "item_reference":
        return ItemReference(fields.identifier("id"))
    item = Item.parse(value, lambda kind: f"{kind}_{path}", path=path)
    if any(part.audio is not None and part.text is None for part in item.content):
        raise unsupported(f"{path}.content", "Audio without a transcript is not understood here")
    return item
