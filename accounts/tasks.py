"""Housekeeping of accounts."""

from celery import shared_task
from django.core.management import call_command


@shared_task(name="accounts.tasks.delete_expired_tokens", acks_late=True)
def delete_expired_tokens() -> None:
    """Drop outstanding and blacklisted tokens that have expired anyway."""
    call_command("flushexpiredtokens")
