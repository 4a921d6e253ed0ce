from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from voice.models import Voice


class VoiceForm(forms.ModelForm[Voice]):
    class Meta:
        model = Voice
        fields = "__all__"  # noqa: DJ007 - the operator's form: the catalogue is theirs

    def clean_sample_url(self) -> str:
        url: str = self.cleaned_data["sample_url"]
        ours = url.startswith("/") and not url.startswith("//")
        if not ours and not url.startswith(("https://", "http://")):
            raise ValidationError(_("须为 http(s) 网址，或以 / 开头的本站路径"))
        return url


@admin.register(Voice)
class VoiceAdmin(ModelAdmin):
    """The catalogue: what is on offer, under which name, in which order."""

    form = VoiceForm
    list_display = (
        "voice_type",
        "voice_name",
        "player",
        "category",
        "language",
        "gender",
        "provider",
        "enabled",
        "sort",
    )
    list_editable = ("voice_name", "enabled", "sort")
    list_filter = ("enabled", "language", "gender", "provider", "category")
    list_per_page = 50
    search_fields = ("voice_type", "voice_name", "provider_voice")
    readonly_fields = ("player",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Clients have stored the identifier: it never changes."""
        return (*self.readonly_fields, "voice_type") if obj else self.readonly_fields

    @admin.display(description=gettext_lazy("试听"))
    def player(self, voice: Voice) -> str:
        if not voice.sample_url:
            return "-"
        return format_html(
            '<audio controls preload="none" src="{}" aria-label="{}"></audio>',
            voice.sample_url,
            voice.voice_name,
        )
