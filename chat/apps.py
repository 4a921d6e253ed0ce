from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("对话")

    def ready(self) -> None:
        """Have a role's greeting spoken when the role was saved."""
        from chat import greetings

        def saved(instance: Any, update_fields: Any = None, **kwargs: Any) -> None:
            greetings.greeting_request(instance, update_fields)

        post_save.connect(saved, sender="roles.Role", weak=False, dispatch_uid="greetings")
