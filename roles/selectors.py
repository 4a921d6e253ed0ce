"""Every read of roles. All roles are public; those that were deleted are not there."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.models import User
from roles.models import Language, Role
from roles.pages import Listing, Rows
from voice import catalogue, speech

ITEM_FIELDS = (
    "id",
    "name",
    "description",
    "gender",
    "age",
    "voice_type",
    "created_at",
    "tagline",
    "language",
    "portrait",
    "owner_id",
    "tags",
    "colors",
)
DETAIL_FIELDS = (
    *ITEM_FIELDS,
    "personality",
    "scenario",
    "greeting",
    "alternate_greetings",
    "example_dialogue",
    "lorebook",
    "moods",
    "updated_at",
)
_BIGGEST_ID = 2**63 - 1  # of a database; Django checks this for primary keys alone


def roles_list(
    *, search: str = "", preset: bool | None = None, owner: User | None = None
) -> Listing:
    """Roles, the newest first; presets alone in the operator's order.

    Args:
        search: Looked for in name, tagline and description, without regard to case.
        preset: True for presets alone, False for users' roles alone.
        owner: This user's roles alone.
    """

    def rows() -> Rows:
        found = Role.objects.present()
        if preset is not None:
            found = found.filter(owner__isnull=preset)
        if owner is not None:
            found = found.filter(owner=owner)
        if search:
            found = found.filter(
                Q(name__icontains=search)
                | Q(tagline__icontains=search)
                | Q(description__icontains=search)
            )
        if preset:
            found = found.order_by("sort", "-created_at", "-id")
        items: Rows = found.values(*ITEM_FIELDS)
        return items

    # Searches are as many as people can think of.
    key = None if search else ("list", preset, owner and owner.pk)
    return Listing(key, rows, as_item)


def roles_of_user(*, user_id: int) -> Listing:
    """One user's roles, the newest first. Raises Http404 for no such user."""
    if user_id > _BIGGEST_ID:
        raise Http404(_("用户不存在"))

    def rows() -> Rows:
        items: Rows = Role.objects.present().filter(owner_id=user_id).values(*ITEM_FIELDS)
        return items

    listing = Listing(("user", user_id), rows, as_item)
    if not listing.counted and not User.objects.filter(pk=user_id).exists():
        raise Http404(_("用户不存在"))
    return listing


def role_get(*, role_id: int) -> dict[str, Any]:
    """One role as a plain row with everything about it. Raises Http404."""
    rows = Role.objects.present().filter(pk=role_id)
    row: dict[str, Any] | None = rows.values(*DETAIL_FIELDS).first()
    if row is None:
        raise Http404(_("角色不存在"))
    row["voice_in_use"] = voice_in_use(voice_type=row["voice_type"], language=row["language"])
    return row


def voice_in_use(*, voice_type: str, language: str) -> dict[str, str] | None:
    """Whose voice is heard where that of a role is not served any more.

    None where it is, and where nobody speaks at all.
    """
    other = catalogue.replacement(voice_type, speech.tts_names(), language=language)
    if other is None:
        return None
    return {"voice_type": other.voice_type, "voice_name": other.voice_name}


def role_find(*, role_id: int) -> Role | None:
    """A role to be played; None where it is not there."""
    return Role.objects.present().filter(pk=role_id).first()


def roles_after(*, after: int, limit: int) -> list[Role]:
    """Roles behind an id, in the order of their ids; only what tells them apart is loaded."""
    found = Role.objects.present().filter(pk__gt=after).order_by("pk")
    return list(found.only("id", "name", "owner_id", "created_at")[:limit])


def role_owned(*, role_id: int, owner: User) -> Role | None:
    """A user's own role; None where it is not there, or is not theirs."""
    return Role.objects.present().filter(pk=role_id, owner=owner).first()


def as_item(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: times in UTC, and whether it is a preset.

    A preset's description is read by people here, so it has names for the card's macros;
    what users wrote goes out as they wrote it.
    """
    for name in ("created_at", "updated_at"):
        if name in row:
            row[name] = _utc(row[name])
    row["preset"] = row["owner_id"] is None
    if row["preset"]:
        you = "你" if row["language"] == Language.CHINESE else "you"
        text = row["description"].replace("{{char}}", row["name"])
        row["description"] = text.replace("{{user}}", you)
    return row


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
