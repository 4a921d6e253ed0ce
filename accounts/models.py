"""Users, the keys they give to programs, and what they use."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _


class Limits(models.Model):
    """How much may be used; see ``accounts.quotas`` for what an empty one and 0 mean."""

    requests_per_minute = models.PositiveIntegerField(_("每分钟请求数"), null=True, blank=True)
    monthly_characters = models.PositiveBigIntegerField(_("每月合成字符"), null=True, blank=True)
    monthly_seconds = models.PositiveBigIntegerField(_("每月识别秒数"), null=True, blank=True)
    monthly_tokens = models.PositiveBigIntegerField(_("每月模型令牌"), null=True, blank=True)

    class Meta:
        abstract = True


class User(AbstractUser, Limits):  # noqa: DJ008 (AbstractUser has it)
    """A person. Signs in by name and password; everything else hangs on the id."""


class ApiKey(Limits):
    """A key by which a user's programs sign in to ``/v1``. Only its digest is kept.

    A key is never deleted but revoked: the ledger goes on naming it.
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("用户")
    )
    name = models.CharField(_("名称"), max_length=60)
    prefix = models.CharField(_("开头"), max_length=16, help_text=_("密钥本身只在创建时显示一次。"))
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("上次使用"), null=True, editable=False)
    expires_at = models.DateTimeField(_("到期时间"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("吊销时间"), null=True, editable=False)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("API 密钥")
        verbose_name_plural = _("API 密钥")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class UsageDay(models.Model):
    """What one user had of one provider on one day (UTC), in one unit."""

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        related_name="usage",
        db_index=False,  # the constraint's index begins with it
        verbose_name=_("用户"),
    )
    key = models.ForeignKey(
        ApiKey,
        on_delete=models.RESTRICT,
        null=True,
        related_name="usage",
        verbose_name=_("API 密钥"),
        help_text=_("为空即经网页或令牌使用。"),
    )
    # Roles are a floor above, and may be gone by now: an id, not a foreign key.
    role_id = models.BigIntegerField(_("角色编号"), null=True)
    provider = models.CharField(_("服务商"), max_length=64)
    unit = models.CharField(_("单位"), max_length=32)
    day = models.DateField(_("日期"), db_index=True)
    amount = models.FloatField(_("用量"), default=0)

    class Meta:
        ordering = ("-day", "-id")
        verbose_name = _("用量")
        verbose_name_plural = _("用量")
        constraints = [
            models.UniqueConstraint(
                "user",
                "day",
                "provider",
                "unit",
                # NULLs differ from each other in a plain unique index.
                Coalesce("role_id", 0),
                Coalesce("key", 0),
                name="one_usage_row_a_day",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.provider} {self.unit}"
