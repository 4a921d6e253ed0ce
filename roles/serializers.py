"""The bodies of ``/api/role/*``."""

from typing import Any, cast

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from accounts.fields import (
    ObjectSerializer,
    StrictChoice,
    StrictInteger,
    StrictText,
    StrictTextList,
    reject,
)
from roles.models import Gender, Language, Role
from voice import catalogue

_LONG = 8000


def _long(label: Any, maximum: int = _LONG) -> StrictText:
    return StrictText(label=label, maximum=maximum, lines=True, required=False)


class RoleSerializer(ObjectSerializer):
    """What a user says of a role. The first five are the contract's, and required."""

    name = StrictText(label=gettext_lazy("名称"), minimum=2, maximum=100)
    description = StrictText(label=gettext_lazy("描述"), minimum=10, maximum=20_000, lines=True)
    gender = StrictChoice(label=gettext_lazy("性别"), choices=Gender.values)
    age = StrictInteger(label=gettext_lazy("年龄"), minimum=0, maximum=120)
    voice_type = StrictText(label=gettext_lazy("声音类型"), minimum=1, maximum=100)

    language = StrictChoice(label=gettext_lazy("语言"), choices=Language.values, required=False)
    tagline = StrictText(label=gettext_lazy("一句话介绍"), maximum=200, required=False)
    personality = _long(gettext_lazy("性格"))
    scenario = _long(gettext_lazy("场景"))
    greeting = _long(gettext_lazy("开场白"), 2000)
    example_dialogue = _long(gettext_lazy("对话示例"))
    tags = StrictTextList(
        label=gettext_lazy("标签"),
        maximum=20,
        each=StrictText(label=gettext_lazy("标签"), minimum=1, maximum=32),
        required=False,
    )

    def validate_voice_type(self, value: str) -> str:
        """A voice on offer, or the one the role has had before it was taken off."""
        voice = catalogue.get(value)
        kept = cast("Role | None", self.instance)
        if voice is None or not (voice.enabled or (kept and kept.voice_type == value)):
            reject(_("声音类型不存在"))
        return value


class RoleListQuery(ObjectSerializer):
    """The filters of ``/api/role/list``."""

    search = StrictText(label="search", maximum=100, required=False, default="")
    preset = StrictChoice(label="preset", choices=["true", "false"], required=False)
    mine = StrictChoice(label="mine", choices=["true", "false"], required=False)


class RoleItem(serializers.Serializer[Any]):
    """A role in a list, for the OpenAPI page; the rows go out without a serializer."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    gender = serializers.ChoiceField(choices=Gender.values)
    age = serializers.IntegerField()
    voice_type = serializers.CharField()
    created_at = serializers.DateTimeField()
    tagline = serializers.CharField()
    language = serializers.ChoiceField(choices=Language.values)
    portrait = serializers.CharField()
    preset = serializers.BooleanField()
    owner_id = serializers.IntegerField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    colors = serializers.DictField(child=serializers.CharField())


class VoiceInUse(serializers.Serializer[Any]):
    voice_type = serializers.CharField()
    voice_name = serializers.CharField()


class RoleDetail(RoleItem):
    personality = serializers.CharField()
    scenario = serializers.CharField()
    greeting = serializers.CharField()
    alternate_greetings = serializers.ListField(child=serializers.CharField())
    example_dialogue = serializers.CharField()
    lorebook = serializers.DictField()
    moods = serializers.ListField(child=serializers.CharField())
    updated_at = serializers.DateTimeField()
    voice_in_use = VoiceInUse(
        allow_null=True, help_text="Who speaks where the role's own voice is not served; else null."
    )


class RoleCreated(serializers.Serializer[Any]):
    role_id = serializers.IntegerField()
