"""What a session is begun with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from realtime.character import Character


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a session needs to know beforehand.

    Attributes:
        session_id: ``sess_…``.
        conversation_id: ``conv_…``: what a client may come back with.
        model: As the client named it.
        character: Who answers.
        kind: ``realtime``, or ``transcription``: hears, and never answers.
        session: The client's own defaults (of its ephemeral key, of the query), as a
            ``session.update`` would have them; they are valid.
        extensions: ``session`` may have what the beta dialect has and GA has not.
        locked: What a ``session.update`` may not change: of ``voice``, ``prompt``,
            and ``max_output_tokens``, which may be lowered.
        voices: Every name of a voice that may be asked for.
        begins_at: Epoch seconds.
        max_seconds: After so long the session expires.
        lead_seconds: How far audio may be sent ahead of its being heard.
        streaming: The recogniser understands while one speaks.
        speculation: Begin to answer before it is certain that the user has finished.
        resumed: It goes on with a conversation that had begun before.
        default_max_tokens: The operator's bound of a reply.
        rate_limits: Gives the list of ``rate_limits.updated``.
    """

    session_id: str
    conversation_id: str
    model: str
    character: Character
    kind: Literal["realtime", "transcription"] = "realtime"
    session: Mapping[str, Any] = field(default_factory=dict)
    extensions: bool = False
    locked: frozenset[str] = frozenset()
    voices: frozenset[str] = frozenset()
    begins_at: int = 0
    max_seconds: float = 1800.0
    lead_seconds: float = 4.0
    streaming: bool = False
    speculation: bool = True
    resumed: bool = False
    default_max_tokens: int = 600
    rate_limits: Callable[[], list[dict[str, Any]]] = list

    @property
    def most_tokens(self) -> int | None:
        """What the client's key allows in a response; None where it is bound to nothing."""
        bound = self.session.get("max_output_tokens")
        return bound if "max_output_tokens" in self.locked and isinstance(bound, int) else None
