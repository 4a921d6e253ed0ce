"""The voices that come with the platform, and what one voice is.

They are data: one file a vendor in ``voice/data/voices``, one line a voice. ``contract.json``
has those that the platform's API promises, whoever speaks them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from voice.models import EVERY_LANGUAGE, Voice
from voice.tts.base import VoiceRef

_FOLDER = Path(__file__).parent / "data" / "voices"
_FILES = ("contract", "local", "openai", "qiniu", "dashscope")  # in the order of offering
_SORT_STEP = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One voice of the catalogue; the attributes are those of ``voice.models.Voice``."""

    voice_type: str
    voice_name: str
    category: str
    language: str
    gender: str
    provider: str
    provider_voice: str
    sample_url: str
    enabled: bool
    sort: int
    stand_in: str = ""
    listed: bool | None = None

    def speaks(self, language: str) -> str:
        """Its language; that of the argument for a voice of every language."""
        return language if self.language == EVERY_LANGUAGE else self.language

    def ref(self, language: str = "zh") -> VoiceRef:
        """The voice as its own provider knows it, for a voice of every language in this one."""
        return VoiceRef(self.provider, self.provider_voice, self.speaks(language))

    def row(self) -> Voice:
        """An unsaved row of the table."""
        return Voice(**asdict(self))


def delivered() -> list[Entry]:
    """All of them, in the order they are offered."""
    rows = [
        row
        for name in _FILES
        for row in json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    ]
    return [
        Entry(**{"enabled": True, **row}, sort=_SORT_STEP * number)
        for number, row in enumerate(rows, 1)
    ]


def promised() -> frozenset[str]:
    """The identifiers that clients of the API have stored: always on offer."""
    return _identifiers("contract")


def openai_names() -> frozenset[str]:
    """The voices of OpenAI's own API."""
    return _identifiers("openai")


def _identifiers(name: str) -> frozenset[str]:
    rows = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return frozenset(row["voice_type"] for row in rows)
