from django.apps import AppConfig
from django.db.models.signals import post_delete
from django.utils.translation import gettext_lazy as _


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = _("上传")

    def ready(self) -> None:
        """Tie the files to their rows; register the checks."""
        from uploads import checks  # noqa: F401
        from uploads.models import AudioFile
        from uploads.services import discard_file_of_row

        post_delete.connect(discard_file_of_row, sender=AudioFile)
