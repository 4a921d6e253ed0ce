"""The operator's form of a role; its rules are those of the API."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError as BodyError
from unfold.widgets import UnfoldAdminSelectWidget

from roles.models import Language, Role
from roles.serializers import RoleSerializer
from voice import catalogue, speech


def voice_choices(current: str = "") -> list[tuple[str, Any]]:
    """The voices on offer, grouped by language; ``current`` stays choosable if it is not."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for entry in catalogue.offered(speech.tts_names()):
        label = dict(Language.choices).get(entry.language, entry.category)
        groups.setdefault(str(label), []).append((entry.voice_type, entry.voice_name))
    known = {voice_type for voices in groups.values() for voice_type, _name in voices}
    choices: list[tuple[str, Any]] = [("", "---------"), *groups.items()]
    if current and current not in known:
        choices.append((str(_("已停用")), [(current, current)]))
    return choices


class RoleForm(forms.ModelForm[Role]):
    voice_type = forms.ChoiceField(widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Role
        exclude = ("loaded",)  # noqa: DJ006 - everything but the loader's own record

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if voice := self.fields.get("voice_type"):  # not there for who may only look
            voice.label = Role._meta.get_field("voice_type").verbose_name
            voice.choices = voice_choices(self.instance.voice_type)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """What the API would not take is not taken here."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        rules = RoleSerializer()
        for name, field in rules.fields.items():
            if name not in values or name == "voice_type":
                continue
            try:
                values[name] = field.run_validation(values[name])
            except BodyError as error:
                self.add_error(name, _texts(error.detail))
        if values.get("slug") and values.get("owner"):
            self.add_error("slug", _("只有没有作者的预设角色才有预设标识"))
        for name in ("alternate_greetings", "moods"):
            if not _strings(values.get(name)):
                self.add_error(name, _("须为字符串的 JSON 列表"))
        colors = values.get("colors")
        if not isinstance(colors, dict) or not _strings(list(colors.values())):
            self.add_error("colors", _("须为名称到颜色的 JSON 对象"))
        if not isinstance(values.get("lorebook"), dict):
            self.add_error("lorebook", _("须为 JSON 对象"))
        portrait = values.get("portrait") or "/"
        if not portrait.startswith("/") or portrait.startswith("//"):
            self.add_error("portrait", _("须为以 / 开头的本站路径"))
        return values


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _texts(detail: Any) -> ValidationError:
    if isinstance(detail, dict):
        return ValidationError([_texts(inner) for inner in detail.values()])
    if isinstance(detail, list):
        return ValidationError([_texts(inner) for inner in detail])
    return ValidationError(str(detail))
