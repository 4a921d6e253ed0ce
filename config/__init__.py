"""Settings, routing and wiring. Importing it loads the Celery application for shared tasks."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
