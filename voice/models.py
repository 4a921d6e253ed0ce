"""The voices that the platform offers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

EVERY_LANGUAGE = "mul"
"""The language (ISO 639-2) of a voice that speaks whatever it is given."""


class Gender(models.TextChoices):
    MALE = "male", _("男声")
    FEMALE = "female", _("女声")
    OTHER = "other", _("其他")


class Voice(models.Model):
    """One entry of the catalogue.

    ``voice_type`` is what clients store; ``provider`` and ``provider_voice`` are who
    speaks it. Where that provider is not switched on, ``stand_in`` speaks for it if it is
    named and served, else the nearest voice that is (same language, then same gender).
    """

    voice_type = models.CharField(_("标识符"), max_length=100, unique=True)
    voice_name = models.CharField(_("名称"), max_length=100)
    category = models.CharField(_("分类"), max_length=50)
    language = models.CharField(
        _("语言"), max_length=8, default="zh", help_text=_("zh、en……；mul 表示任何语言")
    )
    gender = models.CharField(_("性别"), max_length=8, choices=Gender, default=Gender.OTHER)
    provider = models.CharField(_("提供方"), max_length=32)
    provider_voice = models.CharField(_("提供方的名称"), max_length=100)
    sample_url = models.CharField(
        _("试听"),
        max_length=500,
        blank=True,
        help_text=_("绝对网址，或以 / 开头的本站路径；留空则首次试听时合成一段并保存"),
    )
    stand_in = models.CharField(
        _("替声"),
        max_length=100,
        blank=True,
        help_text=_("另一声音的标识符：提供方未接通时由它代说"),
    )
    # What the vendor's own list says, where it was asked: null is "not asked".
    listed = models.BooleanField(_("在提供方的清单中"), null=True, editable=False)
    enabled = models.BooleanField(_("启用"), default=True)
    sort = models.PositiveIntegerField(_("排序"), default=1000)

    class Meta:
        ordering = ("sort", "voice_type")
        verbose_name = _("声音")
        verbose_name_plural = _("声音")

    def __str__(self) -> str:
        return f"{self.voice_name} ({self.voice_type})"


class KeptSpeech(models.Model):
    """Speech that was synthesised and is kept, by what it was made from.

    The file is named by its own content, so several keys may share one; see
    ``voice.speech_store``.
    """

    key = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, db_index=True)
    size = models.PositiveIntegerField(_("字节"))
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)
    used_at = models.DateTimeField(_("上次使用"), db_index=True)

    class Meta:
        ordering = ("-used_at",)
        verbose_name = _("已存的语音")
        verbose_name_plural = _("已存的语音")

    def __str__(self) -> str:
        return self.key[:16]
