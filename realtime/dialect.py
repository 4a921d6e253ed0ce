"""Which of the two dialects one connection speaks: found out once, never changed back."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

from realtime.beta import Renderer, is_beta_update, normalized, wants_beta
from realtime.handshake import Handshake

Event = Mapping[str, Any]

_UPDATES = ("session.update", "transcription_session.update")


class Dialect:
    """Between a client's words and those of the session, which are GA's.

    A handshake that says nothing begins in REALTIME_DIALECT. The first update of the session
    makes it beta, if only a client of beta would send it so, unless a response has begun.

    Args:
        handshake: What the client asked for.
        conversation_id: For beta's ``conversation.created``.
        new_id: Makes ids of events.
    """

    def __init__(
        self, handshake: Handshake, conversation_id: str, new_id: Callable[[str], str]
    ) -> None:
        asked = wants_beta(handshake.headers, handshake.subprotocols, handshake.query)
        self.is_beta = (asked or settings.REALTIME_DIALECT) == "beta"
        self._open_to_guess = asked is None
        self._renderer = Renderer(conversation_id, new_id, settings.LLM_TEMPERATURE)

    def incoming(self, event: Event) -> dict[str, Any]:
        """A client's event in GA's words."""
        if self._open_to_guess and event.get("type") in _UPDATES:
            self._open_to_guess = False
            self.is_beta = self.is_beta or is_beta_update(event)
        return normalized(event)

    def outgoing(self, event: Event) -> list[dict[str, Any]]:
        """What is sent for an event of the session: none, one or two."""
        if event["type"] == "response.created":
            self._open_to_guess = False
        return self._renderer.render(event) if self.is_beta else [dict(event)]
