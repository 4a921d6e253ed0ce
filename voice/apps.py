from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save
from django.utils.translation import gettext_lazy as _


class VoiceConfig(AppConfig):
    name = "voice"
    verbose_name = _("声音")

    def ready(self) -> None:
        """Count attempts; keep the catalogue's snapshot true to what this process writes."""
        from django.db import transaction

        from voice import attempts, catalogue, metrics

        attempts.listen(metrics.count)

        def forget(**kwargs: Any) -> None:
            transaction.on_commit(catalogue.forget)

        for signal in (post_save, post_delete):
            signal.connect(forget, sender="voice.Voice", weak=False, dispatch_uid="catalogue")
