"""``manage.py load_voices``: the catalogue, from the files and from vendors' own lists."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from voice.catalogue import delivered
from voice.errors import ProviderError
from voice.live_voices import LISTS
from voice.services import VoicesLoaded, voices_list, voices_load
from voice.speech import tts_names


class Command(BaseCommand):
    help = "Load the voices that come with the platform; what the operator has changed is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        known = list(dict.fromkeys(entry.provider for entry in delivered()))
        parser.add_argument(
            "--provider", action="append", choices=known, help="these alone; may be repeated"
        )
        parser.add_argument(
            "--live",
            action="store_true",
            help=f"also ask the vendor which voices it has now ({', '.join(LISTS)})",
        )
        parser.add_argument("--reset", action="store_true", help="overwrite the operator's changes")

    def handle(
        self, *args: Any, provider: list[str] | None, live: bool, reset: bool, **options: Any
    ) -> None:
        named = provider or []
        if live and (lacking := [name for name in named if name not in LISTS]):
            raise CommandError(f"{', '.join(lacking)} has no list of its voices to ask for")
        self._tell("Files", voices_load(reset=reset, providers=named))
        on = [name for name in LISTS if name in tts_names()]
        if live and not (named or on):
            raise CommandError("no provider that is switched on has a list of its voices")
        for name in (named or on) if live else []:
            try:
                entries = asyncio.run(LISTS[name]())
            except ProviderError as error:
                if name not in named and error.reason == "bad_request":  # it has no list
                    self.stdout.write(f"{name}: {error}")
                    continue
                raise CommandError(f"{name}: {error}") from error
            self._tell(f"List of {name}", voices_list(provider=name, entries=entries))

    def _tell(self, what: str, loaded: VoicesLoaded) -> None:
        self.stdout.write(
            f"{what}: {loaded.added} added, {loaded.updated} updated, {loaded.unchanged} unchanged"
        )
