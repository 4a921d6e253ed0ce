"""``turn_detection`` of a session: when utterances begin and end, and what follows."""

from dataclasses import dataclass, field
from typing import Any, Literal

from realtime.fields import Fields
from voice.ear.events import Eagerness, TurnDetection

Kind = Literal["server_vad", "semantic_vad"]

_KINDS: tuple[Kind, ...] = ("server_vad", "semantic_vad")
_EAGERNESS: tuple[Eagerness, ...] = ("low", "medium", "high", "auto")


@dataclass(frozen=True, slots=True)
class TurnTaking:
    """How turns are taken.

    Attributes:
        ear: How utterances are found.
        idle_timeout_ms: The character speaks up after so long a silence; None never.
        create_response: An utterance is answered by itself.
        interrupt_response: Speech ends the response under way.
    """

    ear: TurnDetection = field(default_factory=TurnDetection)
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def render(self) -> dict[str, Any]:
        """As a session shows it; each type has fields of its own."""
        ear = self.ear
        answers = {
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }
        if ear.kind == "semantic_vad":
            return {"type": ear.kind, "eagerness": ear.eagerness, **answers}
        return {
            "type": ear.kind,
            "threshold": ear.threshold,
            "prefix_padding_ms": ear.prefix_ms,
            "silence_duration_ms": ear.silence_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
            **answers,
        }


def parse_turn_detection(audio: Fields, current: TurnTaking | None) -> TurnTaking | None:
    """The ``turn_detection`` field of ``session.audio.input``, merged into what there is.

    A change of type starts from that type's defaults; null, as a whole or in a field, goes
    back to the default, which for the whole is manual turns.

    Args:
        audio: That object; the field is in it.
        current: What is to be changed.

    Raises:
        ProtocolError: ``invalid_value``.
    """
    if audio.get("turn_detection") is None:
        return None
    asked = audio.inner("turn_detection")
    kind = asked.choice(
        "type", (*_KINDS, "none"), default=current.ear.kind if current else "server_vad"
    )
    if kind == "none":
        return None
    kept = current.render() if current and current.ear.kind == kind else {}
    fields = Fields({**kept, **audio.get("turn_detection")}, asked.path)
    return TurnTaking(
        ear=_semantic(fields) if kind == "semantic_vad" else _server(fields),
        idle_timeout_ms=_idle(fields) if kind == "server_vad" else None,
        create_response=fields.flag("create_response", default=True),
        interrupt_response=fields.flag("interrupt_response", default=True),
    )


def _semantic(fields: Fields) -> TurnDetection:
    eagerness = fields.choice("eagerness", _EAGERNESS, default="auto")
    return TurnDetection("semantic_vad", eagerness=eagerness)


def _server(fields: Fields) -> TurnDetection:
    return TurnDetection(
        threshold=fields.number("threshold", default=0.5, least=0, most=1),
        prefix_ms=fields.integer("prefix_padding_ms", default=300, least=0, most=5_000),
        silence_ms=fields.integer("silence_duration_ms", default=500, least=50, most=10_000),
    )


def _idle(fields: Fields) -> int | None:
    if fields.get("idle_timeout_ms") is None:
        return None
    return fields.integer("idle_timeout_ms", default=0, least=1_000, most=600_000)
