"""A role: the character that somebody talks with."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinLengthValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Gender(models.TextChoices):
    MALE = "男", _("男")
    FEMALE = "女", _("女")
    OTHER = "其他", _("其他")
    UNKNOWN = "未知", _("未知")


class Language(models.TextChoices):
    CHINESE = "zh", _("中文")
    ENGLISH = "en", _("英文")


class RoleQuerySet(models.QuerySet["Role"]):
    def present(self) -> "RoleQuerySet":
        """Those that were not deleted."""
        return self.filter(deleted_at=None)


class Role(models.Model):
    """A character, somebody's own or (``owner`` null) a preset of the operator.

    A deleted role keeps its row, so that the conversations with it stay readable.

    Attributes:
        slug: Names a preset for good: its file, its portrait.
        loaded: Of a preset, digests of the fields as its file had them: a field that
            differs was changed by the operator.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="roles",
        null=True,
        blank=True,
        verbose_name=_("作者"),
        help_text=_("空着：预设角色，人人可见，只有管理员能改"),
    )
    slug = models.SlugField(_("预设标识"), max_length=64, unique=True, null=True, blank=True)
    name = models.CharField(_("名称"), max_length=100, validators=[MinLengthValidator(2)])
    description = models.TextField(_("描述"), validators=[MinLengthValidator(10)])
    gender = models.CharField(_("性别"), max_length=4, choices=Gender)
    age = models.PositiveSmallIntegerField(_("年龄"), validators=[MaxValueValidator(120)])
    voice_type = models.CharField(_("声音"), max_length=100)
    language = models.CharField(_("语言"), max_length=2, choices=Language, default=Language.CHINESE)
    tagline = models.CharField(_("一句话介绍"), max_length=200, blank=True)
    personality = models.TextField(_("性格"), blank=True)
    scenario = models.TextField(_("场景"), blank=True)
    greeting = models.TextField(_("开场白"), blank=True)
    example_dialogue = models.TextField(
        _("对话示例"), blank=True, help_text=_("<START> 分段；每行以 {{user}}: 或 {{char}}: 开头")
    )
    alternate_greetings = models.JSONField(_("其他开场白"), default=list, blank=True)
    lorebook = models.JSONField(_("世界书"), default=dict, blank=True)
    tags = models.JSONField(_("标签"), default=list, blank=True)
    moods = models.JSONField(_("情绪"), default=list, blank=True)
    colors = models.JSONField(_("配色"), default=dict, blank=True)
    portrait = models.CharField(
        _("画像"), max_length=200, blank=True, help_text=_("以 / 开头的本站路径")
    )
    sort = models.PositiveIntegerField(_("排序"), default=1000)
    loaded = models.JSONField(default=dict, editable=False)
    created_at = models.DateTimeField(_("创建时间"), auto_now_add=True)
    updated_at = models.DateTimeField(_("更新时间"), auto_now=True)
    deleted_at = models.DateTimeField(_("删除时间"), null=True, blank=True, editable=False)

    objects = RoleQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = _("角色")
        verbose_name_plural = _("角色")
        indexes = [
            models.Index(
                fields=["-created_at", "-id"],
                name="roles_newest",
                condition=models.Q(deleted_at=None),
            ),
            models.Index(
                fields=["owner", "-created_at", "-id"],
                name="roles_owner_newest",
                condition=models.Q(deleted_at=None),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(age__lte=120), name="roles_age_in_range")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_preset(self) -> bool:
        """Whether the operator keeps it."""
        return self.owner_id is None
