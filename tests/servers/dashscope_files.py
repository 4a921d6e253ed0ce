"""Files of results, and the jobs that transcribe files from their public URLs."""

import asyncio
import contextlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from tests.servers.dashscope_audio import MEDIA_TYPES, facts
from tests.servers.dashscope_behaviour import Behaviour, Pace, Record
from tests.servers.dashscope_protocol import Refused, stall, until
from tests.servers.dashscope_recognition import TRANSCRIPT

_ONE_FILE = ("qwen3-asr-flash-filetrans",)  # input.file_url and output.result
_MODELS = ("paraformer-v2", "paraformer-8k-v2", "fun-asr", *_ONE_FILE)


class _Server(Protocol):
    @property
    def url(self) -> str: ...


class Files:
    """What is kept under ``/results``, open to whoever knows the name."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._files: dict[str, bytes] = {}

    def keep(self, data: bytes, suffix: str) -> str:
        """The URL of a new file."""
        name = f"{uuid.uuid4().hex}.{suffix}"
        self._files[name] = data
        return f"{self._server.url}/results/{name}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self._files:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        kind = MEDIA_TYPES.get(name.rpartition(".")[2], "application/json")
        return web.Response(body=self._files[name], content_type=kind)


@dataclass(slots=True)
class _Job:
    one_file: bool
    status: str = "PENDING"
    results: list[dict[str, Any]] = field(default_factory=list)
    seconds: int = 0
    failure: Refused | None = None
    work: "asyncio.Task[None] | None" = None


class Transcriptions:
    """Jobs: POST services/audio/asr/transcription, then GET tasks/{id} until it is done."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._jobs: dict[str, _Job] = {}

    async def submit(
        self, request: web.Request, body: dict[str, Any], record: Record, behaviour: Behaviour,
        pace: Pace,
    ) -> web.StreamResponse:  # fmt: skip
        if request.headers.get("X-DashScope-Async") != "enable":
            message = "current user api does not support synchronous calls."
            raise Refused("AccessDenied", message, 403)
        if record.model not in _MODELS:
            raise Refused("ModelNotFound", f"Model not found ({record.model})!", 404)
        given = body.get("input") or {}
        one_file = record.model in _ONE_FILE
        urls = [given.get("file_url")] if one_file else given.get("file_urls")
        if not urls or not all(isinstance(url, str) and url.startswith("http") for url in urls):
            raise Refused("InvalidParameter", "input must contain URLs of files.")
        job = self._jobs[record.task_id] = _Job(one_file)
        job.work = asyncio.create_task(self._transcribe(job, urls, behaviour, pace))
        output = {"task_id": record.task_id, "task_status": job.status}
        return web.json_response({"output": output, "request_id": str(uuid.uuid4())})

    def state(self, request: web.Request) -> web.Response:
        """The answer to GET tasks/{id}."""
        task_id = request.match_info["task_id"]
        job = self._jobs.get(task_id)
        output: dict[str, Any] = {"task_id": task_id, "task_status": "UNKNOWN"}
        answer: dict[str, Any] = {"request_id": str(uuid.uuid4()), "output": output}
        if job is not None:
            output["task_status"] = job.status
            if job.status == "FAILED" and job.failure:
                output |= {"code": job.failure.code, "message": job.failure.message}
            elif job.one_file and job.status == "SUCCEEDED":
                output["result"] = {"transcription_url": job.results[0]["transcription_url"]}
            elif job.status == "SUCCEEDED":
                good = [each for each in job.results if each["subtask_status"] == "SUCCEEDED"]
                bad = len(job.results) - len(good)
                output["results"] = job.results
                metrics = {"TOTAL": len(job.results), "SUCCEEDED": len(good), "FAILED": bad}
                output["task_metrics"] = metrics
            answer["usage"] = {"duration": job.seconds}
        return web.json_response(answer)

    async def close(self, app: web.Application) -> None:
        for job in self._jobs.values():
            if job.work:
                job.work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await job.work

    async def _transcribe(
        self, job: _Job, urls: list[str], behaviour: Behaviour, pace: Pace
    ) -> None:
        job.status = "RUNNING"
        await until(time.monotonic() + pace.asr_ms / 1000)
        if behaviour.fault == "stall_first":
            await stall()
        text = TRANSCRIPT if behaviour.text is None else behaviour.text
        async with aiohttp.ClientSession() as session:
            for url in urls:
                result = {"file_url": url}
                try:
                    seconds = await self._seconds_of(session, url)
                    if behaviour.fault == "fail_middle":
                        raise Refused(behaviour.code or "InternalError",
                                      behaviour.message or "Scripted.")  # fmt: skip
                except Refused as refused:
                    job.failure = refused
                    told = {"code": refused.code, "message": refused.message}
                    job.results.append(result | told | {"subtask_status": "FAILED"})
                else:
                    job.seconds += round(seconds)
                    kept = self._files.keep(_transcription(url, text, seconds), "json")
                    told = {"transcription_url": kept, "subtask_status": "SUCCEEDED"}
                    job.results.append(result | told)
        if any(each["subtask_status"] == "SUCCEEDED" for each in job.results):
            job.failure = None
        job.status = "FAILED" if job.failure else "SUCCEEDED"

    async def _seconds_of(self, session: aiohttp.ClientSession, url: str) -> float:
        """Of the speech at a URL; `Refused` where there is none."""
        try:
            async with session.get(url, raise_for_status=True) as response:
                seconds, sound = facts(await response.read())
        except (aiohttp.ClientError, ValueError) as error:
            raise Refused("FILE_DOWNLOAD_FAILED", f"{url}: {error}") from None
        if not sound:
            raise Refused("SUCCESS_WITH_NO_VALID_FRAGMENT", "No speech in the file.")
        return seconds


def _transcription(url: str, text: str, seconds: float) -> bytes:
    length = round(seconds * 1000)
    sentence = {"begin_time": 0, "end_time": length, "sentence_id": 1, "text": text, "words": []}
    transcript = {
        "channel_id": 0,
        "content_duration_in_milliseconds": length,
        "text": text,
        "sentences": [sentence],
    }
    properties = {"channels": [0], "original_duration_in_milliseconds": length}
    facts_ = {"file_url": url, "properties": properties, "transcripts": [transcript]}
    return json.dumps(facts_, ensure_ascii=False).encode()
