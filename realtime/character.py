"""Who answers in a session."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Character:
    """A character as the protocol shows it.

    Attributes:
        role_id: Of the role that is played.
        name: The role's.
        language: ``zh`` or ``en``.
        instructions: Its prompt, which ``session.instructions`` shows until a client sets
            words of its own.
        voice: The role's voice, by a name that a client may also send.
    """

    role_id: int
    name: str
    language: str
    instructions: str
    voice: str
