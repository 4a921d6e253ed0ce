from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from voice import catalogue, samples, services
from voice.models import KeptSpeech, Voice
from voice.speech import tts_names
from voice.speech_store import speech_forget


class VoiceForm(forms.ModelForm[Voice]):
    class Meta:
        model = Voice
        fields = "__all__"  # noqa: DJ007 - the operator's form: the catalogue is theirs

    def clean_sample_url(self) -> str:
        url: str = self.cleaned_data["sample_url"]
        ours = url.startswith("/") and not url.startswith("//")
        if url and not ours and not url.startswith(("https://", "http://")):
            raise ValidationError(_("须为 http(s) 网址，或以 / 开头的本站路径"))
        return url

    def clean_stand_in(self) -> str:
        stand_in: str = self.cleaned_data["stand_in"]
        own = stand_in and stand_in in (self.instance.voice_type, self.data.get("voice_type"))
        if own or (stand_in and not Voice.objects.filter(voice_type=stand_in).exists()):
            raise ValidationError(_("须为另一声音的标识符"))
        return stand_in


class ServedFilter(admin.SimpleListFilter):
    """By whether a voice is heard now: by itself, or by its stand-in."""

    title = gettext_lazy("可用")
    parameter_name = "served"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("是")), ("no", gettext_lazy("否"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Voice]) -> QuerySet[Voice]:
        if self.value() not in ("yes", "no"):
            return queryset
        served = Q(voice_type__in=catalogue.served_types(tts_names()))
        return queryset.filter(served if self.value() == "yes" else ~served)


@admin.register(Voice)
class VoiceAdmin(ModelAdmin):
    """The catalogue: what is on offer, under which name, in which order, and who is heard."""

    form = VoiceForm
    list_display = (
        "voice_type",
        "voice_name",
        "player",
        "enabled",
        "sort",
        "heard",
        "provider",
        "category",
        "language",
        "gender",
    )
    list_editable = ("voice_name", "enabled", "sort")
    list_filter = (ServedFilter, "enabled", "provider", "language", "gender", "category")
    list_per_page = 50
    search_fields = ("voice_type", "voice_name", "provider_voice", "category")
    search_help_text = gettext_lazy("标识符、名称、提供方的名称或分类")
    readonly_fields = ("player", "heard")
    actions = ("switch_on", "switch_off")

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """With names wide enough to be read, and an order that takes no more than it needs."""
        widgets = {
            "voice_name": UnfoldAdminTextInputWidget(attrs={"style": "min-width: 15rem"}),
            "sort": UnfoldAdminIntegerFieldWidget(attrs={"style": "width: 6rem"}),
        }
        return super().get_changelist_form(request, **{**kwargs, "widgets": widgets})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Clients have stored the identifier: it never changes."""
        return (*self.readonly_fields, "voice_type") if obj else self.readonly_fields

    @admin.display(description=gettext_lazy("试听"))
    def player(self, voice: Voice) -> str:
        """The catalogue's sample where there is one to be had, else none."""
        entry = catalogue.get(voice.voice_type)
        url = voice.sample_url
        if not url and entry and entry.voice_type in catalogue.served_types(tts_names()):
            url = samples.address(entry, tts_names())
        if not url:
            return "-"
        return format_html(
            '<audio controls preload="none" src="{}" aria-label="{}" style="width: 13rem"></audio>',
            url,
            voice.voice_name,
        )

    @admin.display(description=gettext_lazy("谁在说"))
    def heard(self, voice: Voice) -> str:
        """Whose voice a role with this one has now; from the catalogue's snapshot."""
        if not voice.pk:
            return "-"
        try:
            entry = catalogue.speaker(voice.voice_type, tts_names())
        except catalogue.VoiceNotServed:
            return "-"
        return str(_("自己")) if entry.voice_type == voice.voice_type else entry.voice_name

    @admin.action(description=gettext_lazy("启用所选声音"), permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Voice]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description=gettext_lazy("停用所选声音"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Voice]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Voice], *, enabled: bool) -> None:
        changed = services.voices_switch(voices=queryset, enabled=enabled)
        self.message_user(request, _("已更改 %(number)d 个声音") % {"number": changed})


@admin.register(KeptSpeech)
class KeptSpeechAdmin(ModelAdmin):
    """What is kept of speech; what is deleted here goes with its file."""

    list_display = ("key", "size", "created_at", "used_at")
    search_fields = ("key", "digest")
    date_hierarchy = "used_at"
    ordering = ("-used_at",)

    def delete_model(self, request: HttpRequest, obj: KeptSpeech) -> None:
        speech_forget([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[KeptSpeech]) -> None:
        speech_forget(list(queryset.values_list("pk", flat=True)))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
