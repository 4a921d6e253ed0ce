"""The embedded mode: Celery's worker and its clock as threads of the web process.

The same tasks, queues and serialised arguments as with Redis, over the memory transport.
"""

import threading
from typing import Any

import structlog
from celery import Celery, current_app
from celery.beat import EmbeddedService
from celery.worker import WorkController
from django.conf import settings

from chat import runtime

logger = structlog.get_logger(__name__)

_lock = threading.Lock()
_started = False


def ensure_started() -> None:
    """Start the worker and the beat of this process, once. Does nothing in scaled mode."""
    global _started
    with _lock:
        if _started or not settings.EMBEDDED:
            return
        _started = True
    app: Celery = current_app
    threading.Thread(target=_work, args=(app,), name="celery", daemon=True).start()
    beat: Any = EmbeddedService(
        app,
        max_interval=30,
        thread=True,
        schedule_filename=str(settings.DATA_DIR / "celerybeat-schedule"),
    )
    beat.daemon = True
    beat.start()
    logger.info("embedded worker started", concurrency=settings.TURN_CONCURRENCY)


def _work(app: Celery) -> None:
    runtime.shared_loop().run(runtime.serve())
    # Made in its own thread: Celery's set-up touches the database, which loops forbid.
    WorkController(
        app=app,
        pool_cls="threads",
        # Two more for the queue "background", which must not wait for turns.
        concurrency=settings.TURN_CONCURRENCY + 2,
        queues=["turns", "background"],
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    ).start()
