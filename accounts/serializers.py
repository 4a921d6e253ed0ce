"""The bodies of ``/api/auth/*``."""

import re
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from accounts.fields import ObjectSerializer, StrictText, reject, worded
from accounts.models import User

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
