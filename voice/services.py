"""Every write to the catalogue of voices."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from voice import catalogue
from voice.delivered import Entry
from voice.models import Voice

# What the operator may have changed; a load leaves it alone.
_OPERATORS = ("voice_name", "enabled", "sort", "stand_in")
_OURS = ("category", "language", "gender", "provider", "provider_voice", "sample_url")


@dataclass(frozen=True, slots=True)
class VoicesLoaded:
    """How many voices a load added, changed and found as they should be."""

    added: int
    updated: int
    unchanged: int


@transaction.atomic
def voices_load(*, reset: bool = False, providers: Collection[str] = ()) -> VoicesLoaded:
    """Bring the delivered voices into the table; others in it stay.

    Names, order, stand-ins, whether a voice is on offer, and samples where we deliver none
    are the operator's and stay too, unless ``reset``.

    Args:
        reset: Take the files' word for all of it.
        providers: Registry names; the voices of these alone. Empty: of all.
    """
    kept = {voice.voice_type: voice for voice in Voice.objects.select_for_update()}
    entries = [e for e in catalogue.delivered() if not providers or e.provider in providers]
    new: list[Voice] = []
    changed: list[Voice] = []
    for entry in entries:
        voice = kept.get(entry.voice_type)
        if voice is None:
            new.append(entry.row())
        elif _take(voice, entry, _names(voice, entry, reset=reset)):
            changed.append(voice)
    Voice.objects.bulk_create(new)
    Voice.objects.bulk_update(changed, (*_OURS, *_OPERATORS, "listed"))
    transaction.on_commit(catalogue.forget)
    return VoicesLoaded(len(new), len(changed), len(entries) - len(new) - len(changed))


@transaction.atomic
def voices_list(*, provider: str, entries: Sequence[Entry]) -> VoicesLoaded:
    """Take a vendor's own list, read just now, for what it has.

    New voices are added. Those that it has no longer are kept, since roles carry them, and
    are spoken by the nearest until a later list has them again. Of those we deliver nothing
    else changes.

    Args:
        provider: Whose list it is.
        entries: All of it.
    """
    delivered = {entry.voice_type for entry in catalogue.delivered()}
    kept = {voice.voice_type: voice for voice in Voice.objects.select_for_update()}
    new: list[Voice] = []
    changed: list[Voice] = []
    for entry in entries:
        voice = kept.pop(entry.voice_type, None)
        if voice is None:
            new.append(entry.row())
        elif _take(voice, entry, ("listed", *(() if entry.voice_type in delivered else _OURS))):
            changed.append(voice)
    for voice in kept.values():
        if voice.provider == provider and voice.listed is not False:
            voice.listed = False
            changed.append(voice)
    Voice.objects.bulk_create(new)
    Voice.objects.bulk_update(changed, (*_OURS, "listed"))
    transaction.on_commit(catalogue.forget)
    others = sum(voice.provider == provider for voice in kept.values())
    same = len(entries) + others - len(new) - len(changed)
    return VoicesLoaded(len(new), len(changed), same)


def voices_switch(*, voices: QuerySet[Voice], enabled: bool) -> int:
    """Put voices on offer, or take them off. Returns how many changed."""
    changed = voices.exclude(enabled=enabled).update(enabled=enabled)
    transaction.on_commit(catalogue.forget)
    return changed


def _names(voice: Voice, entry: Entry, *, reset: bool) -> Iterable[str]:
    """The fields in which a row follows the delivered entry."""
    yield from (name for name in _OURS if name != "sample_url" or entry.sample_url)
    if reset:
        yield from (*_OPERATORS, "sample_url")
    if voice.listed is None or reset:
        yield "listed"


def _take(voice: Voice, entry: Entry, names: Iterable[str]) -> bool:
    differing = [name for name in names if getattr(voice, name) != getattr(entry, name)]
    for name in differing:
        setattr(voice, name, getattr(entry, name))
    return bool(differing)
