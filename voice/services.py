"""Every write to the catalogue of voices."""

from dataclasses import dataclass

from django.db import transaction

from voice import catalogue
from voice.models import Voice

# What the operator may have changed; a load leaves it alone.
_OPERATORS = ("voice_name", "enabled", "sort")
_OURS = ("category", "language", "gender", "provider", "provider_voice", "sample_url")


@dataclass(frozen=True, slots=True)
class VoicesLoaded:
    """How many voices a load added, changed and found as they should be."""

    added: int
    updated: int
    unchanged: int


@transaction.atomic
def voices_load(*, reset: bool = False) -> VoicesLoaded:
    """Bring the delivered voices into the table; others in it stay.

    Names, order and whether a voice is on offer are the operator's and stay too, unless
    ``reset``.
    """
    kept = {voice.voice_type: voice for voice in Voice.objects.select_for_update()}
    names = _OURS + _OPERATORS if reset else _OURS
    new: list[Voice] = []
    changed: list[Voice] = []
    entries = catalogue.delivered()
    for entry in entries:
        voice = kept.get(entry.voice_type)
        if voice is None:
            new.append(entry.row())
        elif differing := [n for n in names if getattr(voice, n) != getattr(entry, n)]:
            for name in differing:
                setattr(voice, name, getattr(entry, name))
            changed.append(voice)
    Voice.objects.bulk_create(new)
    Voice.objects.bulk_update(changed, names)
    transaction.on_commit(catalogue.forget)
    return VoicesLoaded(len(new), len(changed), len(entries) - len(new) - len(changed))
