"""Every read of roles. All roles are public; those that were deleted are not there."""

import uuid
from datetime import UTC, datetime
from typing import Any

from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.models import User
from roles.models import Language, Role

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
# How long a count may be wrong that another process without a shared cache has changed.
_COUNT_SECONDS = 30
_BIGGEST_ID = 2**63 - 1  # of a database; Django checks this for primary keys alone
_VERSION = "roles:version"


def roles_list(
    *, search: str = "", preset: bool | None = None, owner: User | None = None
) -> QuerySet[Role, dict[str, Any]]:
    """Roles as plain rows, the newest first; presets alone in the operator's order.

    Args:
        search: Looked for in name, tagline and description, without regard to case.
        preset: True for presets alone, False for users' roles alone.
        owner: This user's roles alone.
    """
    rows = Role.objects.present()
    if preset is not None:
        rows = rows.filter(owner__isnull=preset)
    if owner is not None:
        rows = rows.filter(owner=owner)
    if search:
        rows = rows.filter(
            Q(name__icontains=search)
            | Q(tagline__icontains=search)
            | Q(description__icontains=search)
        )
    if preset:
        rows = rows.order_by("sort", "-created_at", "-id")
    page: QuerySet[Role, dict[str, Any]] = rows.values(*ITEM_FIELDS)
    if not search:
        _counted(page, f"{preset}:{owner.pk if owner else ''}")
    return page


def roles_of_user(*, user_id: int) -> QuerySet[Role, dict[str, Any]]:
    """One user's roles as plain rows, the newest first. Raises Http404 for no such user."""
    if user_id > _BIGGEST_ID:
        raise Http404(_("用户不存在"))
    rows = Role.objects.present().filter(owner_id=user_id)
    page: QuerySet[Role, dict[str, Any]] = rows.values(*ITEM_FIELDS)
    if not _counted(page, f"None:{user_id}") and not User.objects.filter(pk=user_id).exists():
        raise Http404(_("用户不存在"))
    return page


def role_get(*, role_id: int) -> dict[str, Any]:
    """One role as a plain row with everything about it. Raises Http404."""
    rows = Role.objects.present().filter(pk=role_id)
    row: dict[str, Any] | None = rows.values(*DETAIL_FIELDS).first()
    if row is None:
        raise Http404(_("角色不存在"))
    return row


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


def _counted(rows: QuerySet[Role, dict[str, Any]], name: str) -> int:
    """The number of rows, which the paginator takes from them as ``counted``.

    From the cache where no role was written since it was counted; asked for in one go with
    the version that every write changes.
    """
    key = f"roles:count:{name}"
    found = cache.get_many([_VERSION, key])
    version = found.get(_VERSION) or cache.get_or_set(_VERSION, _new_version, timeout=None)
    known: tuple[str | None, int] = found.get(key) or ("", 0)
    if known[0] != version:
        known = (version, rows.count())
        cache.set(key, known, timeout=_COUNT_SECONDS)
    rows.counted = known[1]  # type: ignore[attr-defined]
    return known[1]


def _new_version() -> str:
    return uuid.uuid4().hex


def counts_changed() -> None:
    """Forget the cached counts: a role was written."""
    cache.set(_VERSION, _new_version(), timeout=None)
