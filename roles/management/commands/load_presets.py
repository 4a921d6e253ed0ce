"""``manage.py load_presets``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from roles.presets import BadPreset, read_presets
from roles.services import presets_load
from voice.services import voices_load


class Command(BaseCommand):
    help = "Load the voices and preset characters; what the operator has changed is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reset",
            action="store_true",
            help="overwrite the operator's changes, and bring deleted presets back",
        )

    def handle(self, *args: Any, reset: bool, **options: Any) -> None:
        try:
            with transaction.atomic():
                voices = voices_load(reset=reset)
                presets = presets_load(presets=read_presets(), reset=reset)
        except BadPreset as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Voices:  {voices.added} added, {voices.updated} updated, {voices.unchanged} unchanged"
        )
        self.stdout.write(
            f"Presets: {len(presets.added)} added, {len(presets.updated)} updated, "
            f"{len(presets.unchanged)} unchanged, {len(presets.kept)} kept"
        )
        if presets.kept:
            names = ", ".join(sorted(presets.kept))
            self.stdout.write(f"Kept as the operator changed them: {names}. See --reset.")
