"""The task WebSocket: one task at a time on a connection, each from run-task to its end."""

import asyncio
import contextlib
import json
import time
import uuid
from typing import Any, Protocol

from aiohttp import ClientConnectionResetError, WSMessage, WSMsgType, web

from tests.servers.dashscope_behaviour import Behaviour, Kind, Outcome, Pace, Record, Script
from tests.servers.dashscope_protocol import Dropped, Refused, Sender, stall, until
from tests.servers.dashscope_recognition import Recognition
from tests.servers.dashscope_synthesis import Synthesis

IDLE_MESSAGE = "request timeout after 23 seconds."  # the vendor's words, at any setting


class Task(Protocol):
    """A synthesis or a recognition."""

    def message(self, given: dict[str, Any]) -> None: ...

    def audio(self, data: bytes) -> None: ...

    def finish(self, given: dict[str, Any]) -> None: ...

    async def run(self) -> None: ...

    @property
    def cancelled(self) -> bool: ...

    @property
    def finished(self) -> dict[str, Any]: ...


class Connection:
    """One socket after its handshake.

    Args:
        request: Of the handshake.
        number: From 1, for the record.
        script: What to do, and the record of it.
        pace: Of healthy answers.
        silence: Seconds a client may send nothing within a task.
        idle: Seconds a connection may stand without a task.
    """

    def __init__(
        self,
        request: web.Request,
        number: int,
        script: Script,
        pace: Pace,
        *,
        silence: float,
        idle: float,
    ) -> None:
        self._request, self._number, self._script, self._pace = request, number, script, pace
        self._silence, self._idle = silence, idle
        self._ws = web.WebSocketResponse(timeout=1, max_msg_size=4 * 2**20, compress=False)
        self._record: Record | None = None
        self._task: Task | None = None
        self._started = self._finishing = False
        self._runner: asyncio.Task[None] | None = None

    def abort(self) -> None:
        """Close the socket without a goodbye."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def serve(self) -> web.WebSocketResponse:
        """Answer until either side closes."""
        await self._ws.prepare(self._request)
        received: asyncio.Task[WSMessage] = asyncio.create_task(self._ws.receive())
        try:
            while not self._ws.closed:
                waiting: set[asyncio.Task[Any]] = {received}
                if self._runner:
                    waiting.add(self._runner)
                done, _ = await asyncio.wait(
                    waiting, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
                )
                if self._runner in done:
                    await self._ended()
                elif received in done:
                    message = received.result()
                    if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        break
                    await self._accept(message)
                    received = asyncio.create_task(self._ws.receive())
                elif self._task:
                    await self._fail(Refused("InvalidParameter", IDLE_MESSAGE))
                else:
                    await self._ws.close()
        except Dropped:
            self._end("dropped")
            self.abort()
        except ClientConnectionResetError:
            pass
        finally:
            self._end("gone")
            received.cancel()
            if self._runner:
                self._runner.cancel()
                await asyncio.wait({self._runner})
        return self._ws

    @property
    def _patience(self) -> float | None:
        if self._task is None:
            return self._idle
        return None if self._finishing else self._silence

    # What the client sends

    async def _accept(self, message: WSMessage) -> None:
        try:
            if message.type == WSMsgType.BINARY:
                if not self._task or not self._started:
                    raise Refused("InvalidParameter", "Binary frame outside a task.")
                self._task.audio(message.data)
                return
            action, task_id, payload = _parsed(message.data)
            if action == "run-task":
                if self._runner and self._record and self._record.outcome != "open":
                    await asyncio.wait({self._runner})  # its last frame is already out
                    await self._ended()
                self._run(task_id, payload)
                return
            if not self._task or not self._record or not self._started:
                raise Refused("InvalidParameter", f"{action} outside a started task.")
            if task_id != self._record.task_id:
                raise Refused("InvalidParameter", f"task_id {task_id} is not of this task.")
            if action == "continue-task":
                self._task.message(payload.get("input") or {})
            elif action == "finish-task":
                self._finishing = True
                self._task.finish(payload.get("input") or {})
            else:
                raise Refused("InvalidParameter", f"Unknown action: {action}")
        except Refused as refused:
            await self._fail(refused)

    def _run(self, task_id: str, payload: dict[str, Any]) -> None:
        if self._task:
            raise Refused("InvalidParameter", "A task is running on this connection.")
        kinds: dict[tuple[Any, ...], Kind] = {
            ("audio", "tts", "SpeechSynthesizer"): "tts",
            ("audio", "asr", "recognition"): "asr",
        }
        kind = kinds.get(tuple(payload.get(name) for name in ("task_group", "task", "function")))
        if kind is None or not task_id:
            raise Refused("InvalidParameter", "task_group, task, function or task_id is wrong.")
        behaviour = self._script.take(kind)
        pace = behaviour.pace or self._pace
        record = Record(
            kind,
            task_id=task_id,
            model=str(payload.get("model") or ""),
            headers=dict(self._request.headers),
            parameters=dict(payload.get("parameters") or {}),
            connection=self._number,
        )
        self._record = record
        self._script.begin(record)
        way_back = _WayBack(self._ws, task_id)
        build = Synthesis if kind == "tts" else Recognition
        self._task = task = build(record, way_back, behaviour, pace)
        self._started = self._finishing = False
        self._runner = asyncio.create_task(self._perform(task, way_back, behaviour, pace))

    # What it gets

    async def _perform(
        self, task: Task, way_back: Sender, behaviour: Behaviour, pace: Pace
    ) -> None:
        if behaviour.fault == "stall_start":
            await stall()
        if behaviour.fault == "drop_start":
            raise Dropped
        await until(time.monotonic() + pace.start_ms / 1000)
        if behaviour.fault == "fail_start":
            raise Refused(behaviour.code or "InternalError", behaviour.message or "Scripted.")
        if behaviour.fault == "invalid_json":
            await self._ws.send_str('{"header": oops')
        self._started = True
        await way_back.event("task-started", {})
        await task.run()
        if behaviour.fault == "stall_finish":
            await stall()
        self._end("cancelled" if task.cancelled else "finished")
        await way_back.event("task-finished", task.finished)
        if behaviour.fault == "drop_finished":
            raise Dropped

    async def _ended(self) -> None:
        """The task is through: be ready for the next one, or fail."""
        runner, self._runner = self._runner, None
        assert runner is not None
        try:
            runner.result()
        except Refused as refused:
            await self._fail(refused)
        else:
            self._task = self._record = None

    async def _fail(self, refused: Refused) -> None:
        """task-failed; the connection ends with it."""
        if self._runner:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        self._end("failed", str(refused))
        header = {
            "task_id": self._record.task_id if self._record else "",
            "event": "task-failed",
            "error_code": refused.code,
            "error_message": refused.message,
            "attributes": {},
        }
        await self._ws.send_str(json.dumps({"header": header, "payload": {}}))
        await self._ws.close()

    def _end(self, outcome: Outcome, error: str = "") -> None:
        if self._record:
            self._script.end(self._record, outcome, error)


class _WayBack:
    """Frames of one task."""

    def __init__(self, ws: web.WebSocketResponse, task_id: str) -> None:
        self._ws, self._task_id = ws, task_id

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        attributes = {"request_uuid": str(uuid.uuid4())} if name == "task-finished" else {}
        header = {"task_id": self._task_id, "event": name, "attributes": attributes}
        text = json.dumps({"header": header, "payload": payload}, ensure_ascii=False)
        await self._ws.send_str(text)

    async def audio(self, data: bytes) -> None:
        await self._ws.send_bytes(data)


def _parsed(text: str) -> tuple[str, str, dict[str, Any]]:
    """Action, task id and payload of a client's frame."""
    try:
        frame = json.loads(text)
        header, payload = frame["header"], frame["payload"]
        return str(header["action"]), str(header["task_id"]), dict(payload)
    except (ValueError, TypeError, KeyError) as error:
        raise Refused("InvalidParameter", f"Not a frame of the task protocol: {error}") from None
