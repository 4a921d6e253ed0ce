"""Conversations for the operator: read, search, delete; never write in somebody's name."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline

from chat.models import Conversation, Message, Summary, Turn


class ReadOnly:
    """Rows that people talked into being are not added or changed by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SummaryInline(ReadOnly, TabularInline):
    model = Summary
    fields = ("created_at", "through", "text")
    raw_id_fields = ("through",)
    extra = 0


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, ModelAdmin):
    list_display = ("id", "user", "role", "messages_count", "created_at", "active_at")
    list_filter = ("active_at",)
    list_select_related = ("user", "role")
    search_fields = ("user__username", "role__name")
    date_hierarchy = "created_at"
    inlines = (SummaryInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        found: QuerySet[Conversation] = super().get_queryset(request)
        return found.annotate(messages_count=Count("messages"))

    @admin.display(description=_("消息数"), ordering="messages_count")
    def messages_count(self, conversation: Any) -> int:
        return int(conversation.messages_count)


@admin.register(Message)
class MessageAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "id",
        "conversation",
        "author",
        "modality",
        "short_text",
        "player",
        "created_at",
    )
    list_filter = ("author", "modality", "created_at")
    list_select_related = ("conversation", "audio")
    search_fields = ("text", "conversation__user__username", "=conversation__id")

    @admin.display(description=_("内容"))
    def short_text(self, message: Message) -> str:
        return message.text[:60]

    @admin.display(description=_("音频"))
    def player(self, message: Message) -> str:
        if message.audio is None:
            return "-"
        return format_html('<audio controls preload="none" src="{}"></audio>', message.audio.path)


@admin.register(Turn)
class TurnAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "id",
        "user",
        "channel",
        "reply_modality",
        "state",
        "error",
        "attempt",
        "worker",
        "created_at",
        "ended_at",
    )
    list_filter = ("state", "channel", "reply_modality", "error_code", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "client_id", "worker", "error", "=conversation__id")
    date_hierarchy = "created_at"
