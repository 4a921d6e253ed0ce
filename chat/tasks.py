"""Celery tasks: fetch, call. Queue "turns": early ack; queue "background": late ack."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from chat import greetings, memory, runtime, turns

# After so long in the queue nobody waits any more (seconds).
TURN_EXPIRES = 120
LIVE_TURN_EXPIRES = 12


@worker_ready.connect
def serve_turns(sender: Any, **kwargs: Any) -> None:
    """A worker for turns shows that it is there before its first turn."""
    if any(queue.name == "turns" for queue in sender.task_consumer.queues):
        runtime.shared_loop().run(runtime.serve())


@shared_task(name="chat.tasks.run_turn", queue="turns", acks_late=False, expires=TURN_EXPIRES)
def run_turn(turn_id: int) -> None:
    """Run one turn. Doubled deliveries are harmless: the turn is claimed once."""
    runtime.shared_loop().run(runtime.run_turn(turn_id))


@shared_task(
    name="chat.tasks.run_live_turn", queue="turns", acks_late=False, expires=LIVE_TURN_EXPIRES
)
def run_live_turn(key: str, user_id: int, key_id: int | None) -> None:
    """Serve one live turn, as long as it lasts. Doubled deliveries are harmless."""
    runtime.shared_loop().run(runtime.run_live_turn(key, user_id=user_id, key_id=key_id))


@shared_task(name="chat.tasks.speak_greeting", queue="turns", expires=TURN_EXPIRES)
def speak_greeting(role_id: int) -> None:
    """Have a role's greeting spoken and kept. Doing it twice changes nothing.

    On the queue of the turns: its workers have the voices, and it is a turn's work.
    """
    runtime.shared_loop().run(greetings.greeting_keep(role_id=role_id))


@shared_task(
    name="chat.tasks.update_summary",
    queue="background",
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    max_retries=4,
)
def update_summary(self: Any, conversation_id: int) -> None:
    """Bring a conversation's summary up to date; asked again if the model fails."""
    try:
        runtime.shared_loop().run(memory.summary_update(conversation_id=conversation_id))
    except memory.SummaryFailed as error:
        raise self.retry(exc=error, countdown=15 * 2**self.request.retries) from error


@shared_task(name="chat.tasks.sweep_turns", queue="background", acks_late=True)
def sweep_turns() -> None:
    """End or hand over again the turns that nobody runs."""
    runtime.shared_loop().run(turns.sweep())
