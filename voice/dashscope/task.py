"""One task on a connection: started, talked with, finished or cut off."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator

from prometheus_client import Counter

from voice.dashscope.config import Patience
from voice.dashscope.connection import Connection
from voice.dashscope.errors import DashScopeError, refusal
from voice.dashscope.messages import Event, RunPayload, command, request_id_of
from voice.dashscope.pool import Pool

log = logging.getLogger(__name__)

# One request may take several tasks: what is refused for the moment is asked again.
_tasks = Counter(
    "liyuan_provider_tasks",
    "Tasks at a provider by their end: finished, cancelled or the kind of failure",
    ["provider", "use", "outcome"],
)


class Task:
    """A started task; see `running`. One coroutine may send while another receives.

    Attributes:
        id: Of the task, made here.
        request_id: The service's own, once it has told one.
        heard: Whether any audio or result came.
        finished: The service has ended the task in good order.
    """

    def __init__(self, connection: Connection, patience: Patience) -> None:
        self.id = uuid.uuid4().hex
        self.request_id = ""
        self.heard = False
        self.finished = False
        self._finishing = False
        self._connection = connection
        self._patience = patience
        self._owed_since: float | None = None
        self._allowance = patience.utterance
        self._limit: asyncio.Timeout | None = None
        self._failure: BaseException | None = None

    async def start(self, payload: RunPayload) -> None:
        """Send run-task and wait for task-started.

        Raises:
            DashScopeError: The service refused, was silent, or is gone.
        """
        kept = self._connection.kept
        patience = self._patience.started_again if kept else self._patience.started
        try:
            async with asyncio.timeout(patience):
                await self._connection.send(command("run-task", self.id, payload))
                while (event := await self._connection.receive()) is not None:
                    if not isinstance(event, bytes) and self._take(event) == "task-started":
                        return
        except TimeoutError as error:
            raise DashScopeError(
                f"did not start a task within {patience:g} s", kind="timeout"
            ) from error

    async def say(self, text: str) -> None:
        """Send text to be spoken, at most 20 000 characters as they are billed."""
        await self._command("continue-task", {"text": text})

    async def flush(self) -> None:
        """Have spoken what is not a whole sentence yet."""
        await self._command("continue-task", {"flush": True})

    async def hear(self, audio: bytes) -> None:
        """Send audio to be recognised, some 100 ms of it."""
        await self._connection.send(audio)

    async def finish(self) -> None:
        """Nothing more comes from here; the rest of the answer does, and then its end."""
        self._finishing = True
        self.owed(more=0)
        await self._command("finish-task", {})

    def owed(self, *, more: int) -> None:
        """An answer is owed from now on: silence counts.

        Args:
            more: Characters of text it is owed for.
        """
        self._allowance += more / 500 * self._patience.utterance
        if self._owed_since is None:
            self._owed_since = time.monotonic()
            if self._limit and not self._limit.expired():
                self._limit.reschedule(self._deadline())

    def settled(self) -> None:
        """Nothing is owed now: silence does not count. But for the end, once it is asked for."""
        if not self._finishing:
            self._owed_since = None

    def fail(self, error: BaseException) -> None:
        """Have ``receive`` raise this: whoever sends cannot go on."""
        self._failure = error
        if self._limit and not self._limit.expired():
            self._limit.reschedule(0.0)

    async def receive(self) -> Event | bytes | None:
        """The next result or piece of audio; None when the task has finished.

        Raises:
            DashScopeError: The service failed the task, was silent for too long while an
                answer was owed, or is gone.
        """
        while True:
            if self._failure:
                raise self._failure
            began = time.monotonic()
            if self._owed_since is not None and self.heard:
                self._owed_since = began
            try:
                async with asyncio.timeout_at(self._deadline()) as self._limit:
                    message = await self._connection.receive()
            except TimeoutError as error:
                if self._failure:
                    raise self._failure from error
                raise DashScopeError(
                    f"was silent for {time.monotonic() - began:.1f} s in task {self.id}",
                    kind="timeout",
                    request_id=self.request_id,
                ) from error
            finally:
                self._limit = None
            if self._owed_since is not None:
                self._allowance -= time.monotonic() - max(began, self._owed_since)
            if isinstance(message, bytes):
                self.heard = True
                return message
            match self._take(message):
                case "task-finished":
                    self.finished = True
                    return None
                case "result-generated":
                    self.heard = True
                    return message

    @property
    def last_words(self) -> str:
        """What tells the service to stop at once."""
        return command("finish-task", self.id, {"input": {"directive": "cancel"}})

    async def _command(self, action: str, given: dict[str, str | bool]) -> None:
        await self._connection.send(command(action, self.id, {"input": given}))

    def _take(self, event: Event) -> str:
        """The name of an event of this task. Raises DashScopeError for task-failed."""
        header = event["header"]
        self.request_id = request_id_of(event) or self.request_id
        if header["event"] == "task-failed":
            raise refusal(
                header.get("error_code", ""),
                header.get("error_message", ""),
                request_id=self.request_id or self.id,
            )
        # A task before this one on the connection has nothing more to say.
        return header["event"] if header.get("task_id", self.id) == self.id else ""

    def _deadline(self) -> float | None:
        """When, by the clock of the event loop, silence becomes a failure."""
        if self._owed_since is None:
            return None
        patience = self._patience
        silence = patience.silence if self.heard else patience.first_audio
        now = time.monotonic()
        left = min(self._owed_since + silence - now, self._allowance)
        return asyncio.get_running_loop().time() + max(left, 0.0)


@contextlib.asynccontextmanager
async def running(pool: Pool, payload: RunPayload, patience: Patience) -> AsyncIterator[Task]:
    """A task, started. Its connection is kept if it has finished by the end of the block.

    Leaving the block earlier, by cancellation as well, stops the service and closes the
    connection at once. A kept connection that turns out dead is replaced once, unseen.

    Raises:
        DashScopeError: It could not be started.
    """
    connection, task = await _started(pool, payload, patience)
    outcome = "cancelled"
    try:
        yield task
    except DashScopeError as error:
        outcome = error.kind
        _log(error, task, payload)
        raise
    finally:
        if task.finished:
            outcome = "finished"
            pool.keep(connection)
        else:
            pool.drop(connection, task.last_words)
        _tasks.labels("dashscope", pool.use, outcome).inc()


async def _started(pool: Pool, payload: RunPayload, patience: Patience) -> tuple[Connection, Task]:
    fresh = False
    while True:
        connection = await pool.borrow(fresh=fresh)
        task = Task(connection, patience)
        try:
            await task.start(payload)
        except DashScopeError as error:
            stale = connection.kept and error.kind in ("server", "timeout", "idle")
            pool.drop(connection, stale=stale)
            _tasks.labels("dashscope", pool.use, error.kind).inc()
            _log(error, task, payload)
            if not stale:
                raise
            fresh = True
        except BaseException:
            pool.drop(connection)
            _tasks.labels("dashscope", pool.use, "cancelled").inc()
            raise
        else:
            return connection, task


def _log(error: DashScopeError, task: Task, payload: RunPayload) -> None:
    """What the service's support asks for. No text, no key."""
    log.log(
        error.level,
        "%s task %s of %s failed (%s): %s; %s",
        payload["task"],
        task.id,
        payload["model"],
        error.kind,
        error,
        payload["parameters"],
    )
