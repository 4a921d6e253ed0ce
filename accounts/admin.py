from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from rest_framework_simplejwt.token_blacklist import admin as tokens
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import User

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
