"""``manage.py doctor``: whether this installation can do its work, and what it lacks."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.doctor import LOOKS, Verdict

_SIGNS: dict[Verdict, str] = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


class Command(BaseCommand):
    help = "Look after settings, database, Redis, workers, providers, media and disk."
    # It tells what the checks find, and what else there is, rather than stop at them.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        style = {
            "ok": self.style.SUCCESS,
            "note": self.style.WARNING,
            "wrong": self.style.ERROR,
        }
        wrong = 0
        for look in LOOKS:
            for finding in look():
                sign = style[finding.verdict](_SIGNS[finding.verdict])
                self.stdout.write(f"{sign}  {finding.what:<15} {finding.detail}")
                self.stdout.flush()
                wrong += finding.verdict == "wrong"
        if wrong:
            raise CommandError(f"{wrong} of these must be put right")
