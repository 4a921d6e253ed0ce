"""Which voices there are, and who speaks each of them.

Answers come from a snapshot of the table in this process, so that neither a list of
voices nor the start of a turn costs a query. A change made in this process counts at
once, one made in another after SNAPSHOT_SECONDS at most.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from django.conf import settings

from voice.models import Gender, Voice
from voice.tts.base import VoiceRef

SNAPSHOT_SECONDS = 15.0
_DELIVERED = Path(__file__).parent / "data" / "voices.json"
_SORT_STEP = 10


class VoiceNotServed(LookupError):
    """No provider that is switched on has any voice."""


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

    @property
    def ref(self) -> VoiceRef:
        """The voice as its own provider knows it."""
        return VoiceRef(self.provider, self.provider_voice, self.language)

    def row(self) -> Voice:
        """An unsaved row of the table."""
        return Voice(**asdict(self))


@dataclass(frozen=True, slots=True)
class _Snapshot:
    entries: tuple[Entry, ...]
    by_type: dict[str, Entry]
    taken_at: float


_snapshot: _Snapshot | None = None


def delivered() -> list[Entry]:
    """The voices that come with the platform, in the order they are offered."""
    return [
        Entry(**values, enabled=True, sort=_SORT_STEP * number)
        for number, values in enumerate(json.loads(_DELIVERED.read_text(encoding="utf-8")), 1)
    ]


def forget() -> None:
    """Drop the snapshot: the table has changed."""
    global _snapshot
    _snapshot = None


def _entries() -> _Snapshot:
    """The snapshot, taken anew where it is too old: a query, so not on an event loop."""
    global _snapshot
    known = _snapshot
    if known is None or time.monotonic() - known.taken_at > SNAPSHOT_SECONDS:
        taken_at = time.monotonic()
        names = [field.name for field in fields(Entry)]
        found = tuple(Entry(**values) for values in Voice.objects.values(*names))
        known = _Snapshot(found, {entry.voice_type: entry for entry in found}, taken_at)
        _snapshot = known
    return known


def enabled() -> list[Entry]:
    """The voices on offer, in the operator's order."""
    return [entry for entry in _entries().entries if entry.enabled]


def get(voice_type: str) -> Entry | None:
    """One voice, on offer or not; None where nobody has heard of it."""
    return _entries().by_type.get(voice_type)


def resolve(voice_type: str, providers: Sequence[str], *, language: str = "zh") -> VoiceRef:
    """Who speaks a voice. Reads the table now and then: call it from a database thread.

    Args:
        voice_type: The identifier that a role carries.
        providers: Registry names of the synthesisers switched on, the preferred first.
        language: ``zh`` or ``en``: what to speak where the voice is not known any more.

    Returns:
        The voice itself where its provider is switched on, else the nearest voice (same
        language, then same gender) of the first provider that has one.

    Raises:
        VoiceNotServed: None of the providers has a voice.
    """
    snapshot = _entries()
    entry = snapshot.by_type.get(voice_type)
    if entry and entry.enabled and entry.provider in providers:
        return entry.ref
    wanted = (entry.language, entry.gender) if entry else (language, Gender.OTHER.value)
    for provider in providers:
        if ref := _nearest(*wanted, provider, snapshot.entries):
            return ref
    raise VoiceNotServed(f"no voice for {voice_type!r} among {', '.join(providers) or 'none'}")


def nearest(ref: VoiceRef, provider: str) -> VoiceRef | None:
    """The voice of another provider that is most like this one; None where it has none.

    Never queries, so that a fall-back in mid-turn may ask on the event loop: it takes the
    last snapshot whatever its age, and before the first one the catalogue as delivered.
    """
    entries = _snapshot.entries if _snapshot else delivered()
    known = (entry.gender for entry in entries if entry.ref == ref)
    return _nearest(ref.language, next(known, Gender.OTHER.value), provider, entries)


def _nearest(
    language: str, gender: str, provider: str, entries: Sequence[Entry]
) -> VoiceRef | None:
    if provider == "openai":
        # Its voices speak every language, and only the operator knows their names.
        return VoiceRef("openai", settings.TTS_VOICE, language)
    served = [entry for entry in entries if entry.enabled and entry.provider == provider]
    best = min(
        served,
        key=lambda entry: (entry.language != language, entry.gender != gender, entry.sort),
        default=None,
    )
    return best.ref if best else None
