"""``manage.py prepare``: all that must be in place before the first request."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from config.waiting import add_wait_argument, wait_as_told


class Command(BaseCommand):
    help = "Migrate the database, load the preset roles, fetch the weights."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-speech", action="store_true", help="leave the weights out, as SPEECH=off does"
        )
        add_wait_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        wait_as_told(self, options["wait"])
        self._step("database")
        call_command("migrate", interactive=False, verbosity=0)
        self._step("preset characters")
        call_command("load_presets")
        if settings.SPEECH and not options["no_speech"]:
            self._step("speech weights")
            call_command("fetch_models", optional=True)
        if settings.LLM:
            self._step("language model")
            call_command("fetch_llm")

    def _step(self, what: str) -> None:
        self.stdout.write(f"==> {what}")
        self.stdout.flush()
