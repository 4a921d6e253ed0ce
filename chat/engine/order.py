"""What the engine is asked for in a live turn. No Django."""

from dataclasses import dataclass, field

from chat.engine.stages import Deadlines
from chat.llm.base import Prompt
from voice.tts.base import VoiceRef


@dataclass(frozen=True, slots=True)
class ReplyOrder:
    """One reply to be made.

    Attributes:
        prompt: For the model; None where ``preface`` is all that is said.
        voice: Who speaks it; None for a reply in text alone.
        language: ``zh`` or ``en``: how signs and numbers are read.
        speed: Of the voice; 1.0 is its own pace.
        max_tokens: Upper bound of what the model writes.
        temperature: Of the model, 0 to 2.
        preface: Said first, word for word, as if the model had written it: the rest of a
            reply that was cut off by mistake.
        deadlines: A stage's patience.
    """

    prompt: Prompt | None
    voice: VoiceRef | None
    language: str = "zh"
    speed: float = 1.0
    max_tokens: int = 600
    temperature: float = 0.8
    preface: str = ""
    deadlines: Deadlines = field(default_factory=Deadlines)
