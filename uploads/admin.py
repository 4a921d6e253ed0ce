from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from uploads.models import AudioFile


@admin.register(AudioFile)
class AudioFileAdmin(ModelAdmin):
    """To hear and to delete; what is stored never changes. Deleting a row deletes its file."""

    list_display = ("name", "player", "origin", "owner", "length", "volume", "created_at")
    list_filter = ("origin", "extension", "created_at")
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("token", "filename", "owner__username")
    search_help_text = _("令牌、原文件名或用户名")
    date_hierarchy = "created_at"
    fields = ("player", "name", "filename", "origin", "owner", "length", "volume", "created_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("名称"), ordering="token")
    def name(self, file: AudioFile) -> str:
        return file.name

    @admin.display(description=_("试听"))
    def player(self, file: AudioFile) -> str:
        return format_html('<audio controls preload="none" src="{}"></audio>', file.path)

    @admin.display(description=_("时长"), ordering="seconds")
    def length(self, file: AudioFile) -> str:
        return f"{file.seconds:.1f} s"

    @admin.display(description=_("大小"), ordering="size")
    def volume(self, file: AudioFile) -> str:
        return filesizeformat(file.size)
