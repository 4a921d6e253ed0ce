"""How a session is set: what ``session.update`` changes and ``session.updated`` shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chat.llm.base import Tool
from realtime.audio_formats import (
    InputFormat,
    OutputFormat,
    parse_input_format,
    parse_output_format,
    render_format,
)
from realtime.errors import ProtocolError, invalid
from realtime.fields import Fields
from realtime.session_fields import (
    LONGEST_INSTRUCTIONS,
    Modality,
    parse_include,
    parse_max_tokens,
    parse_modality,
    parse_prompt,
    parse_temperature,
    parse_tracing,
    parse_transcription,
    parse_truncation,
    parse_voice,
    render_max_tokens,
)
from realtime.setup import Setup
from realtime.tools import parse_tool_choice, parse_tools, render_tool_choice, render_tools
from realtime.turn_detection import TurnTaking, parse_turn_detection
from voice.ear.events import TurnDetection

_NOISE = ("near_field", "far_field")


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The settings of a session, all valid. Changed as a whole: see `updated`.

    Attributes:
        kind: ``transcription`` hears and never answers.
        instructions: The client's own words; empty while the character's own stand.
        modality: Of replies: ``audio`` has a transcript with it.
        tools: What the model may call.
        tool_choice: As in ``Prompt``.
        max_tokens: None for ``inf``.
        temperature: Of the beta dialect alone; None takes the operator's.
        input_format: Of the audio that the client appends.
        output_format: Of the audio that it is sent.
        asked_voice: What the client asked for; empty for the character's own.
        character_voice: The character's own.
        speed: Of the voice; 1.0 is its own pace.
        turn_taking: None for manual turns.
        transcription: ``model``, ``language``, ``prompt``, each where it was set; None: the
            client wants no events of transcription.
        noise_reduction: Stored and shown, with no effect.
        prompt: ``id``, ``version``, ``variables``: names the character.
        tracing: Stored and shown, with no effect. The same for the next two.
        truncation: See there.
        include: See there.
    """

    kind: Literal["realtime", "transcription"] = "realtime"
    instructions: str = ""
    modality: Modality = "audio"
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    input_format: InputFormat = "pcm16"
    output_format: OutputFormat = "pcm16"
    asked_voice: str = ""
    character_voice: str = ""
    speed: float = 1.0
    turn_taking: TurnTaking | None = field(default_factory=TurnTaking)
    transcription: Mapping[str, str] | None = None
    noise_reduction: str | None = None
    prompt: Mapping[str, Any] | None = None
    tracing: Any = None
    truncation: Any = "auto"
    include: tuple[str, ...] | None = None

    @classmethod
    def initial(cls, setup: Setup) -> "SessionConfig":
        """The defaults, with those of ``setup.session`` over them.

        Raises:
            ProtocolError: ``setup.session`` is not valid (``/v1/realtime/client_secrets``
                finds it out by this).
        """
        config = cls(kind=setup.kind, character_voice=setup.character.voice)
        if setup.kind == "transcription":
            config = replace(config, transcription=_heard_by(setup))
        unlocked = replace(setup, locked=frozenset())
        config = config.updated(
            setup.session, setup=unlocked, extensions=setup.extensions, audio_sent=False
        )
        # A voice that a key is bound to stays, whoever answers: also the character's own.
        return replace(config, asked_voice=config.voice) if "voice" in setup.locked else config

    # --- what the session asks of it

    @property
    def voice(self) -> str:
        """Who speaks: a name from ``Setup.voices``."""
        return self.asked_voice or self.character_voice

    @property
    def detection(self) -> TurnDetection | None:
        """How the ear is to find utterances; None for manual turns."""
        return self.turn_taking.ear if self.turn_taking else None

    @property
    def create_response(self) -> bool:
        """An utterance that the ear has found is answered by itself."""
        answers = self.kind == "realtime"
        return answers and self.turn_taking is not None and self.turn_taking.create_response

    @property
    def interrupt_response(self) -> bool:
        """Speech ends the response under way."""
        return self.turn_taking is not None and self.turn_taking.interrupt_response

    @property
    def idle_timeout_ms(self) -> int | None:
        """After so long a silence the character speaks up; None never."""
        return self.turn_taking.idle_timeout_ms if self.turn_taking else None

    @property
    def language(self) -> str:
        """The hint of transcription for the recogniser: ``zh``, ``en`` or empty."""
        asked = (self.transcription or {}).get("language", "").lower()
        primary = asked.replace("_", "-").partition("-")[0]
        return {"zh": "zh", "cmn": "zh", "yue": "zh", "en": "en"}.get(primary, "")

    # --- changing it

    def updated(
        self,
        session: object,
        *,
        setup: Setup,
        extensions: bool,
        audio_sent: bool,
    ) -> "SessionConfig":
        """The settings with those of a ``session.update`` (in GA's shape) merged in.

        Absent fields stay, null goes back to the default. Fields that are unknown are let
        pass.

        Args:
            session: What the client sent.
            setup: Of the session. Its ``character`` is the one that answers from now on:
                where ``prompt.id`` names another, replace it before.
            extensions: Allow what the beta dialect has and GA has not: ``temperature``, and
                formats of output that are no PCM.
            audio_sent: The character has been heard: its voice may not change any more.

        Raises:
            ProtocolError: ``invalid_value``, ``missing_required_parameter``,
                ``unsupported_value``, ``cannot_update_voice``; this object is as it was.
        """
        fields = Fields(session, "session")
        self._check_identity(fields, setup)
        audio = fields.inner("audio")
        config = replace(self, character_voice=setup.character.voice)
        config = config._with_input(audio.inner("input"), setup)
        if "include" in fields:
            config = replace(config, include=parse_include(fields))
        if self.kind == "transcription":
            return config
        config = config._with_output(audio.inner("output"), setup, extensions=extensions)
        config = config._with_writing(fields, setup, extensions=extensions)
        config = config._with_stored(fields)
        self._check_locked(config, setup, audio_sent=audio_sent)
        return replace(config, asked_voice=self.asked_voice) if "voice" in setup.locked else config

    def _check_identity(self, fields: Fields, setup: Setup) -> None:
        kind = fields.get("type")
        if kind is not None and kind != self.kind:
            raise invalid("session.type", f"'{self.kind}': a session does not change its type")
        model = fields.get("model")
        if self.kind == "realtime" and model is not None and model != setup.model:
            raise invalid("session.model", "the model that the session was opened with")

    def _check_locked(self, config: "SessionConfig", setup: Setup, *, audio_sent: bool) -> None:
        if config.prompt != self.prompt and "prompt" in setup.locked:
            raise invalid("session.prompt", "the prompt that this key is bound to")
        if config.asked_voice == self.asked_voice or config.voice == self.voice:
            return
        if audio_sent or "voice" in setup.locked:
            reason = (
                "once the assistant has been heard"
                if audio_sent
                else "with this key, which is bound to one"
            )
            raise ProtocolError(
                "cannot_update_voice",
                f"Cannot update a conversation's voice {reason}.",
                param="session.audio.output.voice",
            )

    def _with_input(self, audio: Fields, setup: Setup) -> "SessionConfig":
        changes: dict[str, Any] = {}
        if "format" in audio:
            changes["input_format"] = parse_input_format(audio, "pcm16")
        if "turn_detection" in audio:
            changes["turn_taking"] = parse_turn_detection(audio, self.turn_taking)
        if "transcription" in audio:
            transcription = parse_transcription(audio, self.transcription)
            if transcription is None and self.kind == "transcription":
                transcription = _heard_by(setup)
            changes["transcription"] = transcription
        if "noise_reduction" in audio:
            reduction = audio.inner("noise_reduction")
            changes["noise_reduction"] = reduction.choice("type", _NOISE, default="") or None
        return replace(self, **changes)

    def _with_output(self, audio: Fields, setup: Setup, *, extensions: bool) -> "SessionConfig":
        changes: dict[str, Any] = {}
        if "format" in audio:
            changes["output_format"] = parse_output_format(audio, "pcm16", extensions=extensions)
        if "voice" in audio:
            voice = parse_voice(audio, setup)
            changes["asked_voice"] = "" if voice == setup.character.voice else voice
        if "speed" in audio:
            changes["speed"] = audio.number("speed", default=1.0, least=0.25, most=1.5)
        return replace(self, **changes)

    def _with_writing(self, fields: Fields, setup: Setup, *, extensions: bool) -> "SessionConfig":
        changes: dict[str, Any] = {}
        if "instructions" in fields:
            text = fields.text("instructions", longest=LONGEST_INSTRUCTIONS, default="")
            # Who sends back what it was shown means no words, and no voice, of its own.
            changes["instructions"] = "" if text == setup.character.instructions else text
        if "output_modalities" in fields:
            changes["modality"] = parse_modality(fields, "audio")
        if "tools" in fields:
            changes["tools"] = parse_tools(fields)
        if "tool_choice" in fields:
            changes["tool_choice"] = parse_tool_choice(fields)
        if "max_output_tokens" in fields:
            most = setup.most_tokens
            changes["max_tokens"] = parse_max_tokens(fields, most, most)
        if extensions and "temperature" in fields:
            changes["temperature"] = parse_temperature(fields, None)
        return replace(self, **changes)

    def _with_stored(self, fields: Fields) -> "SessionConfig":
        changes: dict[str, Any] = {}
        if "prompt" in fields:
            changes["prompt"] = parse_prompt(fields)
        if "tracing" in fields:
            changes["tracing"] = parse_tracing(fields)
        if "truncation" in fields:
            changes["truncation"] = parse_truncation(fields)
        return replace(self, **changes)

    # --- showing it

    def render(self, setup: Setup) -> dict[str, Any]:
        """The whole session as GA shows it in ``session.created`` and ``session.updated``.

        Clients that check strictly can read it: ``transcription`` has three keys at most, a
        voice is a string.
        """
        head = {
            "object": f"realtime.{'transcription_' * (self.kind == 'transcription')}session",
            "type": self.kind,
            "id": setup.session_id,
            "expires_at": setup.begins_at + int(setup.max_seconds),
            "include": None if self.include is None else list(self.include),
        }
        if self.kind == "transcription":
            return {**head, "audio": {"input": self._render_input()}}
        session = {
            **head,
            "model": setup.model,
            "output_modalities": [self.modality],
            "instructions": self.instructions or setup.character.instructions,
            "tools": render_tools(self.tools),
            "tool_choice": render_tool_choice(self.tool_choice),
            "max_output_tokens": render_max_tokens(self.max_tokens),
            "tracing": self.tracing,
            "prompt": None if self.prompt is None else dict(self.prompt),
            "truncation": self.truncation,
            "audio": {
                "input": self._render_input(),
                "output": {
                    "format": render_format(self.output_format),
                    "voice": self.voice,
                    "speed": self.speed,
                },
            },
        }
        if self.temperature is not None:
            session["temperature"] = self.temperature
        return session

    def _render_input(self) -> dict[str, Any]:
        reduction = self.noise_reduction
        return {
            "format": render_format(self.input_format),
            "transcription": None if self.transcription is None else dict(self.transcription),
            "noise_reduction": None if reduction is None else {"type": reduction},
            "turn_detection": None if self.turn_taking is None else self.turn_taking.render(),
        }


def _heard_by(setup: Setup) -> dict[str, str]:
    return {"model": setup.model or "whisper-1"}
