from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist import admin as tokens
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import selectors, services
from accounts.models import ApiKey, UsageDay, User

_LIMITS = ("requests_per_minute", "monthly_characters", "monthly_seconds", "monthly_tokens")

admin.site.unregister((Group, OutstandingToken, BlacklistedToken))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "date_joined")
    search_fields = ("username", "email")
    ordering = ("-date_joined",)
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        (_("用量上限"), {"fields": _LIMITS, "description": _("留空用系统设置；0 为不限。")}),
    )


@admin.register(OutstandingToken)
class OutstandingTokenAdmin(tokens.OutstandingTokenAdmin, ModelAdmin):
    """Who holds a session. Never the token itself: with it one could act as that user."""

    exclude = ("token",)
    search_fields = ("user__username", "jti")
    ordering = ("-id",)

    def get_readonly_fields(self, *args: object, **kwargs: object) -> list[str]:
        return [field.name for field in self.model._meta.fields if field.name != "token"]


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(tokens.BlacklistedTokenAdmin, ModelAdmin):
    search_fields = ("token__user__username", "token__jti")
    ordering = ("-id",)


def _number(amount: float) -> str:
    return f"{amount:,.3f}".rstrip("0").rstrip(".")


def _cost(triples: list[tuple[str, str, float]]) -> str:
    cost = selectors.cost_of(triples)
    return "-" if cost is None else f"{cost:,.4f}"


class KeyStateFilter(admin.SimpleListFilter):
    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("valid", _("有效")), ("expired", _("已到期")), ("revoked", _("已吊销"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        expired = queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        if self.value() == "revoked":
            return queryset.exclude(revoked_at=None)
        if self.value() == "expired":
            return expired
        if self.value() == "valid":
            return queryset.filter(revoked_at=None).exclude(pk__in=expired)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Whose programs may sign in. Never the key nor its digest; users make their own."""

    list_display = (
        "name",
        "prefix",
        "user",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = (KeyStateFilter, "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    date_hierarchy = "created_at"
    fields = ("user", "prefix", "name", "expires_at", *_LIMITS)
    readonly_fields = ("user", "prefix")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        services.key_update(key=obj, **{name: getattr(obj, name) for name in form.changed_data})

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        """Only a key that was never used can go; what is remembered of it goes first."""
        services.key_revoke(key=obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            self.delete_model(request, key)

    @admin.action(description=_("吊销所选密钥"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.filter(revoked_at=None):
            services.key_revoke(key=key)


@admin.register(UsageDay)
class UsageDayAdmin(ModelAdmin):
    """The ledger; above the list the sums of all that it would show on all its pages."""

    list_display = ("day", "user", "key", "role_id", "provider", "unit", "used", "cost")
    list_filter = ("provider", "unit", "day")
    list_select_related = ("user", "key")
    list_before_template = "admin/usage_sums.html"
    search_fields = ("user__username", "key__name", "provider", "=role_id")
    date_hierarchy = "day"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("用量"), ordering="amount")
    def used(self, row: UsageDay) -> str:
        return _number(row.amount)

    @admin.display(description=_("费用"))
    def cost(self, row: UsageDay) -> str:
        return _cost([(row.provider, row.unit, row.amount)])

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", None) or {}  # none where it redirects
        if "cl" in shown:
            shown["sums"] = self._sums(shown["cl"].queryset)
        return response

    def _sums(self, rows: QuerySet[UsageDay]) -> dict[str, Any]:
        """A table for the template."""
        sums = rows.order_by("provider", "unit").values_list("provider", "unit")
        found = list(sums.annotate(Sum("amount")))
        lines = [
            [name, unit, _number(amount), _cost([(name, unit, amount)])]
            for name, unit, amount in found
        ]
        if found and settings.USAGE_PRICES:
            lines.append([gettext("合计"), "", "", _cost(found)])
        return {
            "headers": [gettext("服务商"), gettext("单位"), gettext("用量"), gettext("费用")],
            "rows": lines,
        }
