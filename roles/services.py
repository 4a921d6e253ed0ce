"""Every write to roles."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from roles.models import Language, Role
from roles.presets import BadPreset, Preset
from voice.models import Voice


def _language_of(text: str) -> Language:
    chinese = any("\u4e00" <= character <= "\u9fff" for character in text)
    return Language.CHINESE if chinese else Language.ENGLISH


def role_create(*, owner: User, **fields: Any) -> Role:
    """Create a user's role from validated fields.

    Without ``language`` it is that of the description.
    """
    fields.setdefault("language", _language_of(fields["description"]))
    return Role.objects.create(owner=owner, **fields)


def role_update(*, role: Role, **fields: Any) -> Role:
    """Change the named fields alone, so that two who write other ones do not collide."""
    for name, value in fields.items():
        setattr(role, name, value)
    if fields:
        role.save(update_fields=[*fields, "updated_at"])
    return role


def role_delete(*, role: Role) -> None:
    """Hide a role for good; its row stays, so that conversations with it stay readable."""
    role.deleted_at = timezone.now()
    role.save(update_fields=["deleted_at", "updated_at"])


def role_restore(*, role: Role) -> None:
    """Undo a deletion."""
    role.deleted_at = None
    role.save(update_fields=["deleted_at", "updated_at"])


@dataclass(frozen=True, slots=True)
class PresetsLoaded:
    """Slugs, by what a load did with them.

    Attributes:
        kept: Slugs of the presets of which the operator's version of a field, or their
            deletion, was left alone.
    """

    added: list[str]
    updated: list[str]
    unchanged: list[str]
    kept: list[str]


@transaction.atomic
def presets_load(*, presets: Iterable[Preset], reset: bool = False) -> PresetsLoaded:
    """Bring presets into the table; loading the same ones again changes nothing.

    A field that the operator has changed since it was loaded stays as it is, the others
    follow the file. ``reset`` takes the file's word for all, and undoes deletions.

    Raises:
        BadPreset: A preset breaks the model's rules or names a voice nobody knows.
    """
    loaded = PresetsLoaded([], [], [], [])
    rows = {role.slug: role for role in Role.objects.select_for_update().exclude(slug=None)}
    voices = frozenset(Voice.objects.values_list("voice_type", flat=True))
    # The list shows the newest first: the one that sorts first is made last.
    for preset in sorted(presets, key=lambda preset: -preset.fields["sort"]):
        role = rows.get(preset.slug)
        if role is None:
            role = Role(slug=preset.slug)
            _take(role, preset.fields, voices)
            loaded.added.append(preset.slug)
            continue
        own = {
            name
            for name in preset.fields
            if role.loaded.get(name) != _digest(getattr(role, name)) and not reset
        }
        differing = [n for n, v in preset.fields.items() if getattr(role, n) != v]
        changes = {name: preset.fields[name] for name in differing if name not in own}
        restored = reset and role.deleted_at is not None
        if own.intersection(differing) or (role.deleted_at and not reset):
            loaded.kept.append(preset.slug)
        elif not changes and not restored:
            loaded.unchanged.append(preset.slug)
        if changes or restored:
            role.deleted_at = None if reset else role.deleted_at
            _take(role, changes, voices)
            if preset.slug not in loaded.kept:
                loaded.updated.append(preset.slug)
    return loaded


def _take(role: Role, changes: Mapping[str, Any], voices: Collection[str]) -> None:
    for name, value in changes.items():
        setattr(role, name, value)
        role.loaded[name] = _digest(value)
    if role.voice_type not in voices:
        raise BadPreset(f"{role.slug}: no voice is called {role.voice_type!r}")
    try:
        role.full_clean()
    except ValidationError as error:
        raise BadPreset(f"{role.slug}: {'; '.join(error.messages)}") from error
    role.save()


def _digest(value: Any) -> str:
    plain = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
