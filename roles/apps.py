from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save
from django.utils.translation import gettext_lazy as _


class RolesConfig(AppConfig):
    name = "roles"
    verbose_name = _("角色")

    def ready(self) -> None:
        """Keep the pages true, whoever writes: services, admin or a cascade."""
        from django.db import transaction

        from roles import pages

        def written(**kwargs: Any) -> None:
            transaction.on_commit(pages.roles_changed)

        for signal in (post_save, post_delete):
            signal.connect(written, sender="roles.Role", weak=False, dispatch_uid="pages")
