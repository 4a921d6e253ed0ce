"""Tasks that are handed over to Celery while nobody waits for it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from celery import Task

logger = structlog.get_logger(__name__)

# Sending to a broker blocks, for long where it neither answers nor refuses. What can wait
# holds up neither the threads of the database nor the turns that are handed over meanwhile.
_unhurried = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dispatch-later")


def hand_over_soon(task: "Task[..., Any]", *arguments: Any) -> None:
    """Queue a task of Celery's, some time; from any thread. A failure is logged."""
    _unhurried.submit(_hand_over, task, *arguments)


def _hand_over(task: "Task[..., Any]", *arguments: Any) -> None:
    try:
        task.delay(*arguments)
    except Exception:
        logger.exception("task not handed over", task=task.name)
