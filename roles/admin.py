from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from roles import services
from roles.forms import RoleForm
from roles.models import Role


class PresetFilter(admin.SimpleListFilter):
    title = _("种类")
    parameter_name = "preset"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("预设角色")), ("no", _("用户的角色"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Role]) -> QuerySet[Role]:
        if self.value() in ("yes", "no"):
            return queryset.filter(owner__isnull=self.value() == "yes")
        return queryset


class DeletedFilter(admin.SimpleListFilter):
    title = _("已删除")
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("是")), ("all", _("全部（含已删除）"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Role]) -> QuerySet[Role]:
        """Without a choice: those that are there."""
        if self.value() == "all":
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() != "yes")


@admin.register(Role)
class RoleAdmin(ModelAdmin):
    """Presets to write, users' roles to look after. Deleting hides a role; it can come back."""

    form = RoleForm
    list_display = (
        "name",
        "picture",
        "language",
        "gender",
        "age",
        "voice_type",
        "owner",
        "sort",
        "created_at",
        "deleted_at",
    )
    list_filter = (PresetFilter, DeletedFilter, "language", "gender")
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("name", "slug", "tagline", "description", "owner__username")
    ordering = (F("owner_id").asc(nulls_first=True), "sort", "-id")
    raw_id_fields = ("owner",)
    readonly_fields = ("created_at", "updated_at", "deleted_at")
    actions = ("restore",)
    fieldsets = (
        (None, {"fields": ("name", "tagline", "description", "gender", "age", "voice_type")}),
        (
            _("性格"),
            {
                "fields": (
                    "personality",
                    "scenario",
                    "greeting",
                    "alternate_greetings",
                    "example_dialogue",
                    "lorebook",
                )
            },
        ),
        (
            _("陈列"),
            {"fields": ("language", "tags", "moods", "colors", "portrait", "sort")},
        ),
        (
            _("归属"),
            {"fields": ("owner", "slug", "created_at", "updated_at", "deleted_at")},
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A slug is for good: it names the file that updates the preset."""
        fixed = ("slug",) if obj and obj.slug else ()
        return (*self.readonly_fields, *fixed)

    @admin.display(description=_("画像"))
    def picture(self, role: Role) -> str:
        if not role.portrait:
            return "-"
        return format_html('<img src="{}" alt="" width="40" height="40">', role.portrait)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Nothing goes with a role that is only hidden, so nothing is collected."""
        roles = [str(role) for role in objs]
        return roles, {str(self.opts.verbose_name_plural): len(roles)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Role) -> None:
        services.role_delete(role=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Role]) -> None:
        for role in queryset:
            services.role_delete(role=role)

    @admin.action(description=_("恢复所选角色"), permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Role]) -> None:
        for role in queryset.exclude(deleted_at=None):
            services.role_restore(role=role)
