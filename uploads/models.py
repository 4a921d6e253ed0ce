"""Stored audio."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Origin(models.TextChoices):
    UPLOAD = "upload", _("用户上传")
    REPLY = "reply", _("角色语音")


class AudioFile(models.Model):
    """One file in media storage, by an unguessable token.

    The extension and type follow what the bytes decoded as, never the client's name.
    """

    token = models.CharField(max_length=32, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="audio_files"
    )
    origin = models.CharField(_("来源"), max_length=8, choices=Origin)
    filename = models.CharField(_("原文件名"), max_length=255, blank=True)
    extension = models.CharField(_("扩展名"), max_length=8)
    size = models.PositiveIntegerField(_("字节"))
    seconds = models.FloatField(_("时长（秒）"))
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("音频文件")
        verbose_name_plural = _("音频文件")

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its name in storage."""
        return f"{self.token}.{self.extension}"

    @property
    def path(self) -> str:
        """Where it is served, relative to the platform's base URL."""
        return f"/uploads/{self.name}"
