"""The bodies of ``/api/auth/*``, ``/api/keys`` and ``/api/usage``."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts import quotas, selectors
from accounts.fields import (
    ObjectSerializer,
    StrictChoice,
    StrictDate,
    StrictInteger,
    StrictMoment,
    StrictText,
    reject,
    worded,
)
from accounts.models import ApiKey, User

_LONGEST_DAYS = 366
_USERNAME = re.compile(r"[\w.@+-]{2,32}")


class CredentialsSerializer(ObjectSerializer):
    username = StrictText(label=gettext_lazy("用户名"), minimum=1, maximum=150)
    password = StrictText(label=gettext_lazy("密码"), minimum=1, maximum=128, trim_whitespace=False)

    def validate_username(self, value: str) -> str:
        """In the form in which names are stored: full-width letters are the plain ones."""
        return User.normalize_username(value)


class RegisterSerializer(CredentialsSerializer):
    password = StrictText(label=gettext_lazy("密码"), minimum=8, maximum=128, trim_whitespace=False)

    def validate_username(self, value: str) -> str:
        name = super().validate_username(value)
        if not _USERNAME.fullmatch(name):
            reject(_("用户名须为2-32个字符，可用文字、数字和 . @ + - _"))
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            validate_password(attrs["password"], User(username=attrs["username"]))
        except DjangoValidationError as error:
            reasons = [worded(text) for text in error.messages]
            raise serializers.ValidationError(reasons) from error
        return attrs


class RefreshSerializer(ObjectSerializer):
    refresh = StrictText(label=gettext_lazy("refresh 令牌"), minimum=1, maximum=2000)


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ("id", "username")


class TokensSerializer(serializers.Serializer[Any]):
    """What refresh answers."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class SessionSerializer(TokensSerializer):
    """What register and login answer."""

    user = UserSerializer()


class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")


def _limit(label: Any, maximum: int) -> StrictInteger:
    return StrictInteger(label=label, minimum=1, maximum=maximum, required=False, allow_null=True)


class KeySerializer(ObjectSerializer):
    """What a user says of a key. No limit of its own, and no end, where it is null."""

    name = StrictText(label=gettext_lazy("名称"), minimum=1, maximum=60)
    expires_at = StrictMoment(label=gettext_lazy("到期时间"), required=False, allow_null=True)
    requests_per_minute = _limit(gettext_lazy("每分钟请求数"), 100_000)
    monthly_characters = _limit(gettext_lazy("每月合成字符"), 10**12)
    monthly_seconds = _limit(gettext_lazy("每月识别秒数"), 10**12)
    monthly_tokens = _limit(gettext_lazy("每月模型令牌"), 10**12)

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            reject(_("到期时间必须在将来"))
        return value


class AmountsSerializer(serializers.Serializer[Any]):
    """Of one month, by budget."""

    characters = serializers.FloatField(help_text="spoken")
    seconds = serializers.FloatField(help_text="of speech recognised")
    tokens = serializers.FloatField(help_text="of prompts and replies")


class KeyItem(serializers.ModelSerializer[ApiKey]):
    """A key as its owner sees it; ``prefix`` is how it begins."""

    spent = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id",
            "name",
            "prefix",
            "created_at",
            "last_used_at",
            "expires_at",
            "requests_per_minute",
            "monthly_characters",
            "monthly_seconds",
            "monthly_tokens",
            "spent",
        )

    @extend_schema_field(AmountsSerializer)
    def get_spent(self, key: ApiKey) -> dict[str, float]:
        """This month, from the context's sums by key id."""
        return quotas.by_budget(self.context["spent"].get(key.pk, {}))


class NewKeySerializer(KeyItem):
    """A key that was just made."""

    key = serializers.CharField(help_text="The key itself. It is never shown again.")

    class Meta(KeyItem.Meta):
        fields = (*KeyItem.Meta.fields, "key")


class UsageQuery(ObjectSerializer):
    """From and to are days of UTC, both included; by default this month until today."""

    group = StrictChoice(label="group", choices=list(selectors.USAGE_GROUPS), default="day")

    def get_fields(self) -> dict[str, Any]:
        days = {name: StrictDate(label=name, required=False) for name in ("from", "to")}
        return {**days, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        last = attrs.get("to") or max(selectors.today(), attrs.get("from", selectors.today()))
        first = attrs.get("from") or last.replace(day=1)
        if first > last:
            reject(_("from 不能晚于 to"))
        if last - first >= timedelta(days=_LONGEST_DAYS):
            reject(_("from 与 to 最多相隔 %(days)d 天") % {"days": _LONGEST_DAYS})
        return {"first": first, "last": last, "group": attrs["group"]}


class UsageItem(serializers.Serializer[Any]):
    """Of the first four there is the one that ``group`` names."""

    day = serializers.DateField(required=False)
    provider = serializers.CharField(required=False)
    role_id = serializers.IntegerField(required=False, allow_null=True)
    key_id = serializers.IntegerField(required=False, allow_null=True)
    amounts = serializers.DictField(
        child=serializers.FloatField(),
        help_text="By unit: characters, seconds, prompt_tokens, completion_tokens.",
    )
    cost = serializers.FloatField(
        allow_null=True, help_text="By the operator's prices; null where there are none."
    )


class BudgetSerializer(serializers.Serializer[Any]):
    spent = serializers.FloatField()
    limit = serializers.IntegerField(allow_null=True, help_text="Null: none.")


class MonthSerializer(serializers.Serializer[Any]):
    """What is spent of the user's limits in this month of UTC."""

    characters = BudgetSerializer()
    seconds = BudgetSerializer()
    tokens = BudgetSerializer()


class UsageSerializer(serializers.Serializer[Any]):
    """What ``/api/usage`` answers; ``amounts`` and ``cost`` are those of all items."""

    first = serializers.DateField()
    last = serializers.DateField()
    list = UsageItem(many=True)
    has_more = serializers.BooleanField(help_text="There are more items than are told.")
    amounts = serializers.DictField(child=serializers.FloatField())
    cost = serializers.FloatField(allow_null=True)
    month = MonthSerializer()
