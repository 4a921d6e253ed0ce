"""The project itself as an app: system checks that look across the rooms."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    label = "config"

    def ready(self) -> None:
        """Register the checks, and what workers do for the metrics when they start."""
        from config import checks  # noqa: F401
        from config.metrics import process  # noqa: F401
