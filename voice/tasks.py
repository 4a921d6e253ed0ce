"""Housekeeping of kept speech."""

import logging

from celery import shared_task
from django.utils import timezone

from voice.speech_store import speech_clean_up

logger = logging.getLogger(__name__)


@shared_task(name="voice.tasks.clean_up_speech", acks_late=True)
def clean_up_speech() -> None:
    """Bring kept speech within its limits. May run twice, or at once with itself."""
    if forgotten := speech_clean_up(timezone.now()):
        logger.info("forgot %d pieces of kept speech", forgotten)
