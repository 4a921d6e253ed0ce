"""How a session is set now."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from realtime.character import Character
from realtime.config import SessionConfig
from realtime.errors import invalid
from realtime.response_options import ResponseOptions
from realtime.setup import Setup


class Settings:
    """The settings that all parts of a session share; changed by ``session.update`` alone.

    Attributes:
        setup: Its ``character`` is the one that answers now.
        config: See `SessionConfig`.
        extensions: What the beta dialect has and GA has not is allowed.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.config = SessionConfig.initial(setup)
        self.extensions = False
        self._first = setup.character

    @property
    def character(self) -> Character:
        """Who answers."""
        return self.setup.character

    @property
    def listens_only(self) -> bool:
        """A transcription session: nothing is answered, nothing is kept."""
        return self.setup.kind == "transcription"

    @property
    def tells_transcripts(self) -> bool:
        """The client wants to be told what was understood of the user."""
        return self.listens_only or self.config.transcription is not None

    @property
    def language(self) -> str:
        """The hint for the recogniser."""
        return self.config.language or self.character.language

    def update(self, session: object, character: Character | None, *, audio_sent: bool) -> None:
        """Merge the ``session`` of a ``session.update``.

        Args:
            session: As it came.
            character: Whom its ``prompt`` names; None for nobody.
            audio_sent: The character has been heard.

        Raises:
            ProtocolError: Nothing has changed.
        """
        setup = replace(self.setup, character=self._cast(session, character))
        self.config = self.config.updated(
            session, setup=setup, extensions=self.extensions, audio_sent=audio_sent
        )
        self.setup = setup

    def options(
        self, response: object, character: Character | None
    ) -> tuple[ResponseOptions, Character]:
        """What a ``response.create`` asks for, and of whom.

        Args:
            response: As it came.
            character: Whom its ``prompt`` names, who answers in its own voice.

        Raises:
            ProtocolError: It cannot be.
        """
        who = character or self.character
        setup = replace(self.setup, character=who)
        options = ResponseOptions.parse(response, self.config, setup, extensions=self.extensions)
        if options.prompt is None:
            return options, self.character
        if character is None:
            raise invalid("response.prompt.id", "a character of this server")
        return options, character

    def _cast(self, session: object, character: Character | None) -> Character:
        if not isinstance(session, Mapping) or "prompt" not in session or self.listens_only:
            return self.character
        prompt: Any = session["prompt"]
        if prompt is None:
            return self._first
        if character is None and isinstance(prompt, Mapping) and isinstance(prompt.get("id"), str):
            raise invalid("session.prompt.id", "a character of this server")
        return character or self.character
