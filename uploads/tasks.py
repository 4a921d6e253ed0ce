"""Housekeeping of stored audio."""

import logging

from celery import shared_task
from django.utils import timezone

from uploads import services

logger = logging.getLogger(__name__)


@shared_task(name="uploads.tasks.delete_expired", acks_late=True)
def delete_expired() -> None:
    """Delete audio older than UPLOAD_RETENTION_DAYS. May run twice, or at once with itself."""
    if deleted := services.audio_delete_expired(timezone.now()):
        logger.info("deleted %d expired audio files", deleted)
