"""What was said: conversations, messages, the turns between them, summaries."""

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def new_public_id() -> str:
    """A name for a conversation that nobody guesses."""
    return "conv_" + secrets.token_hex(12)


class Conversation(models.Model):
    """One user's talk with one role.

    Attributes:
        public_id: What its user's sessions of ``/v1/realtime`` call it.
    """

    public_id = models.CharField(max_length=64, default=new_public_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        verbose_name=_("用户"),
    )
    role = models.ForeignKey(
        "roles.Role",
        on_delete=models.CASCADE,
        related_name="conversations",
        verbose_name=_("角色"),
    )
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)
    active_at = models.DateTimeField(_("最近活动"), auto_now_add=True)

    class Meta:
        ordering = ("-active_at", "-id")
        verbose_name = _("对话")
        verbose_name_plural = _("对话")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "public_id"], name="chat_conversation_public_id_once"
            )
        ]
        indexes = [
            models.Index(fields=["user", "-active_at", "-id"], name="chat_conv_user_active"),
            models.Index(fields=["user", "role", "-active_at"], name="chat_conv_user_role"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Author(models.TextChoices):
    USER = "user", _("用户")
    ASSISTANT = "assistant", _("角色")


class Modality(models.TextChoices):
    TEXT = "text", _("文字")
    VOICE = "voice", _("语音")


class Message(models.Model):
    """One thing that was said.

    Attributes:
        text: What is in the history: the typed text, the transcript (empty until the
            recogniser has spoken), or the part of a reply that reached the user.
        full_text: The whole reply, where it was cut off; else empty. For audit alone.
        audio: The stored speech, where there is one.
        audio_url: The address a voice message came with.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    author = models.CharField(_("说话人"), max_length=9, choices=Author)
    modality = models.CharField(_("形式"), max_length=5, choices=Modality, default=Modality.TEXT)
    text = models.TextField(_("内容"), blank=True)
    full_text = models.TextField(_("未截断的内容"), blank=True)
    audio = models.ForeignKey(
        "uploads.AudioFile", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    audio_url = models.CharField(_("音频地址"), max_length=2000, blank=True)
    created_at = models.DateTimeField(_("时间"), auto_now_add=True)

    class Meta:
        ordering = ("id",)
        verbose_name = _("消息")
        verbose_name_plural = _("消息")
        indexes = [models.Index(fields=["conversation", "-id"], name="chat_msg_newest")]

    def __str__(self) -> str:
        return self.text[:40]


class TurnState(models.TextChoices):
    QUEUED = "queued", _("等待")
    RUNNING = "running", _("进行中")
    COMPLETED = "completed", _("完成")
    FAILED = "failed", _("失败")
    CANCELLED = "cancelled", _("取消")


ENDED = (TurnState.COMPLETED, TurnState.FAILED, TurnState.CANCELLED)


class Turn(models.Model):
    """A user's message and the reply to it.

    The state changes by conditional updates alone (``chat.turns``): queued → running →
    completed | failed | cancelled, and running → queued once, when a worker was lost
    before anything was sent.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="turns"
    )
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="turns")
    request = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="turn")
    reply = models.OneToOneField(
        Message, on_delete=models.SET_NULL, null=True, blank=True, related_name="reply_of"
    )
    client_id = models.CharField(_("客户端消息号"), max_length=64, blank=True)
    channel = models.CharField(_("入口"), max_length=16)
    reply_modality = models.CharField(_("回复形式"), max_length=5, choices=Modality)
    state = models.CharField(_("状态"), max_length=9, choices=TurnState, default=TurnState.QUEUED)
    attempt = models.PositiveSmallIntegerField(_("第几次"), default=0)
    worker = models.CharField(_("工作进程"), max_length=64, blank=True)
    error_code = models.PositiveSmallIntegerField(_("错误码"), default=0)
    error = models.CharField(_("错误"), max_length=300, blank=True)
    timings = models.JSONField(_("耗时（毫秒）"), default=dict, blank=True)
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)
    started_at = models.DateTimeField(_("开始时间"), null=True, blank=True)
    ended_at = models.DateTimeField(_("结束时间"), null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("轮次")
        verbose_name_plural = _("轮次")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "client_id"],
                condition=~Q(client_id=""),
                name="chat_turn_client_id_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["state", "created_at"],
                condition=Q(state__in=["queued", "running"]),
                name="chat_turn_open",
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"


class Summary(models.Model):
    """What a conversation was about up to one message; the newest one counts."""

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="summaries"
    )
    text = models.TextField(_("摘要"))
    through = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="+", verbose_name=_("截至消息")
    )
    created_at = models.DateTimeField(_("时间"), auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("摘要")
        verbose_name_plural = _("摘要")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "through"], name="chat_summary_once")
        ]

    def __str__(self) -> str:
        return self.text[:40]
