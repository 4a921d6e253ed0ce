"""Which voices there are, and who speaks each of them.

Answers come from a snapshot of the table in this process, so that neither a list of
voices nor the start of a turn costs a query. A change made in this process counts at
once, one made in another after SNAPSHOT_SECONDS at most.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from django.conf import settings

from voice.delivered import Entry, delivered, openai_names, promised
from voice.models import EVERY_LANGUAGE, Voice
from voice.tts.base import VoiceRef

__all__ = [
    "Entry",
    "VoiceNotServed",
    "delivered",
    "enabled",
    "find",
    "forget",
    "get",
    "nearest",
    "offered",
    "replacement",
    "resolve",
    "served_types",
    "speaker",
]

SNAPSHOT_SECONDS = 15.0
_PROMISED = promised()
_OPENAI_NAMES = openai_names()


class VoiceNotServed(LookupError):
    """No provider that is switched on has any voice."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    entries: tuple[Entry, ...]
    by_type: dict[str, Entry]
    taken_at: float
    served: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)


_snapshot: _Snapshot | None = None


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
        names = [each.name for each in fields(Entry)]
        found = tuple(Entry(**values) for values in Voice.objects.values(*names))
        known = _Snapshot(found, {entry.voice_type: entry for entry in found}, taken_at)
        _snapshot = known
    return known


def enabled() -> list[Entry]:
    """The voices that the operator has not taken off, in the operator's order."""
    return [entry for entry in _entries().entries if entry.enabled]


def offered(providers: Sequence[str]) -> list[Entry]:
    """The voices to choose from: those that are served, and those that the API promises.

    Args:
        providers: Registry names of the synthesisers switched on. Where there are none,
            nothing speaks: then it is the local voices, which need no more than a switch.
    """
    served = served_types(providers or ("local",))
    return [
        entry
        for entry in _entries().entries
        if entry.voice_type in served or (entry.enabled and entry.voice_type in _PROMISED)
    ]


def served_types(providers: Sequence[str]) -> frozenset[str]:
    """The identifiers of the voices that are heard now: by themselves, or by their stand-in."""
    snapshot = _entries()
    key = (*providers, settings.TTS_VOICE)
    if key not in snapshot.served:
        snapshot.served[key] = frozenset(
            entry.voice_type
            for entry in snapshot.entries
            if _speaks(entry, providers, snapshot.by_type) is not None
        )
    return snapshot.served[key]


def get(voice_type: str) -> Entry | None:
    """One voice, on offer or not; None where nobody has heard of it."""
    return _entries().by_type.get(voice_type)


def find(name: str) -> Entry | None:
    """A voice by whatever name a client may know it; None where none is called so.

    Args:
        name: Our identifier (OpenAI's names are among them: ``alloy``), or the provider's
            own name (``zf_xiaoxiao``, ``cosyvoice-v2/longxiaochun_v2``).

    Returns:
        A voice that the operator has not taken off. ``speaker`` and ``resolve`` say who
        speaks it with the providers that are switched on.
    """
    snapshot = _entries()
    if (entry := snapshot.by_type.get(name)) is not None:
        return entry if entry.enabled else None
    named = (each for each in snapshot.entries if each.enabled and each.provider_voice == name)
    return next(named, None)


def speaker(voice_type: str, providers: Sequence[str], *, language: str = "zh") -> Entry:
    """Whose voice is heard for an identifier. Reads the table now and then: no event loop.

    Args:
        voice_type: The identifier that a role carries.
        providers: Registry names of the synthesisers switched on, the preferred first.
        language: ``zh`` or ``en``: what to speak where the voice is not known any more,
            or speaks every language.

    Returns:
        The voice itself where it is served, else its stand-in where that is, else the
        nearest voice (same language, then same gender) of the first provider that has one.

    Raises:
        VoiceNotServed: None of the providers has a voice.
    """
    snapshot = _entries()
    entry = snapshot.by_type.get(voice_type)
    if entry and (heard := _speaks(entry, providers, snapshot.by_type)):
        return heard
    gender, language = (entry.gender, entry.speaks(language)) if entry else ("", language)
    for provider in providers:
        if near := _nearest(language, gender, provider, snapshot.entries):
            return near
    raise VoiceNotServed(f"no voice for {voice_type!r} among {', '.join(providers) or 'none'}")


def resolve(voice_type: str, providers: Sequence[str], *, language: str = "zh") -> VoiceRef:
    """``speaker`` as its provider knows it. Raises VoiceNotServed."""
    heard, entry = speaker(voice_type, providers, language=language), get(voice_type)
    return heard.ref(entry.speaks(language) if entry else language)


def replacement(voice_type: str, providers: Sequence[str], *, language: str = "zh") -> Entry | None:
    """Who is heard instead of a voice that is not served any more.

    None where it is served (by itself or by the stand-in it is offered with), and where
    nobody speaks at all.
    """
    try:
        heard = speaker(voice_type, providers, language=language)
    except VoiceNotServed:
        return None
    entry = get(voice_type)
    wished = entry is not None and heard.voice_type in (voice_type, entry.stand_in)
    return None if wished else heard


def nearest(ref: VoiceRef, provider: str) -> VoiceRef | None:
    """The voice of another provider that is most like this one; None where it has none.

    Never queries, so that a fall-back in mid-turn may ask on the event loop: it takes the
    last snapshot whatever its age, and before the first one the catalogue as delivered.
    """
    entries = _snapshot.entries if _snapshot else tuple(delivered())
    names = (ref.provider, ref.name)
    known = next((e for e in entries if (e.provider, e.provider_voice) == names), None)
    if known and known.stand_in:
        for entry in entries:
            if entry.voice_type == known.stand_in and _served(entry, (provider,)):
                return entry.ref(ref.language)
    near = _nearest(ref.language, known.gender if known else "", provider, entries)
    return near.ref(ref.language) if near else None


def _served(entry: Entry, providers: Sequence[str]) -> bool:
    """Whether a provider that is switched on speaks this very voice."""
    if not entry.enabled or entry.listed is False or entry.provider not in providers:
        return False
    # Only the operator knows the voices of a server that speaks OpenAI's protocol: they are
    # OpenAI's own where the one that TTS_VOICE names is.
    openai = entry.provider == "openai" and entry.provider_voice in _OPENAI_NAMES
    return not openai or settings.TTS_VOICE in _OPENAI_NAMES


def _speaks(entry: Entry, providers: Sequence[str], by_type: dict[str, Entry]) -> Entry | None:
    """The voice itself or its stand-in, whichever is served; None where neither is.

    A voice that the operator has taken off is not spoken by its stand-in either.
    """
    if _served(entry, providers):
        return entry
    stand_in = by_type.get(entry.stand_in) if entry.enabled else None
    return stand_in if stand_in and _served(stand_in, providers) else None


def _nearest(language: str, gender: str, provider: str, entries: Sequence[Entry]) -> Entry | None:
    preferred = settings.TTS_VOICE if provider == "openai" else ""
    served = [entry for entry in entries if _served(entry, (provider,))]
    if preferred and preferred not in {entry.provider_voice for entry in served}:
        return _unlisted(preferred)
    return min(
        served,
        key=lambda entry: (
            entry.language not in (language, EVERY_LANGUAGE),
            gender not in (entry.gender, ""),
            entry.provider_voice != preferred,
            entry.sort,
        ),
        default=None,
    )


def _unlisted(name: str) -> Entry:
    """A voice of the operator's server that the catalogue does not have."""
    return Entry(
        voice_type=name,
        voice_name=name,
        category="",
        language=EVERY_LANGUAGE,
        gender="other",
        provider="openai",
        provider_voice=name,
        sample_url="",
        enabled=True,
        sort=0,
    )
