"""System checks of this room's settings."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from uploads.sources import fetch_policy


@register()
def foreign_hosts_are_hosts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A mistyped host is found at the start, not with the first voice message."""
    try:
        fetch_policy()
    except ValueError as error:
        hint = "List names like cdn.example.org, or .example.org for all below it."
        return [Error(f"FOREIGN_URL_HOSTS: {error}", hint=hint, id="uploads.E001")]
    return []
