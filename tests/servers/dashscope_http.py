"""The HTTP side of the loopback DashScope: authentication, record, faults, and its routes."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import ClientConnectionResetError, web

from tests.servers import dashscope_compatible as compatible
from tests.servers.dashscope_behaviour import Behaviour, Kind, Pace, Record, Script
from tests.servers.dashscope_files import Files, Transcriptions
from tests.servers.dashscope_native import Speech, multimodal
from tests.servers.dashscope_protocol import Dropped, Refused, stall

Body = dict[str, Any]
Answer = Callable[[web.Request, Body, Record, Behaviour, Pace], Awaitable[web.StreamResponse]]
_USUAL = {
    401: ("InvalidApiKey", "Invalid API-key provided."),
    403: ("AccessDenied", "Access denied."),
    404: ("ModelNotFound", "Model not found."),
    429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    503: ("ServiceUnavailable", "Service is unavailable, please try again later."),
}


class Server(Protocol):
    script: Script
    pace: Pace

    @property
    def url(self) -> str: ...

    def authorized(self, request: web.Request) -> bool: ...


def error_response(status: int, code: str, message: str) -> web.Response:
    """In the native form."""
    request_id = str(uuid.uuid4())
    body = {"code": code, "message": message, "request_id": request_id}
    return web.json_response(body, status=status, headers={"X-Request-Id": request_id})


def refusal(behaviour: Behaviour, *, authorized: bool) -> web.Response | None:
    """The answer to a handshake or request that is not let in; None lets it in."""
    status = behaviour.status if authorized else 401
    if status < 400:
        return None
    code, message = _USUAL.get(status, ("InternalError", "An internal error has occurred."))
    if authorized:
        code, message = behaviour.code or code, behaviour.message or message
    response = error_response(status, code, message)
    if behaviour.retry_after is not None:
        response.headers["Retry-After"] = behaviour.retry_after
    return response


class HttpApi:
    """All routes but the WebSocket."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._files = Files(server)
        self._jobs = Transcriptions(self._files)

    def add_routes(self, app: web.Application) -> None:
        router, api, openai = app.router, "/api/v1", "/compatible-mode/v1"
        speech = self._endpoint("speech", Speech(self._files))
        router.add_post(f"{api}/services/audio/tts/SpeechSynthesizer", speech)
        router.add_post(
            f"{api}/services/aigc/multimodal-generation/generation",
            self._endpoint("multimodal", multimodal),
        )
        router.add_post(
            f"{api}/services/audio/asr/transcription",
            self._endpoint("transcription", self._jobs.submit),
        )
        router.add_get(f"{api}/tasks/{{task_id}}", self._task)
        router.add_get("/results/{name}", self._files.serve)
        chat = self._endpoint("chat", compatible.chat, compatible.envelope)
        router.add_post(f"{openai}/chat/completions", chat)
        app.on_cleanup.append(self._jobs.close)

    def _endpoint(
        self,
        kind: Kind,
        answer: Answer,
        envelope: Callable[[web.Response], web.Response] = lambda response: response,
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap a healthy answer in authentication, record and faults."""

        async def handle(request: web.Request) -> web.StreamResponse:
            script = self._server.script
            try:
                body = await request.json()
                if not isinstance(body, dict):
                    raise TypeError
            except (ValueError, TypeError):
                return envelope(error_response(400, "InvalidParameter", "Not a JSON object."))
            behaviour = script.take(kind)
            record = Record(kind, str(uuid.uuid4()), str(body.get("model") or ""))
            record.headers, record.parameters = dict(request.headers), body
            script.begin(record)
            refused = refusal(behaviour, authorized=self._server.authorized(request))
            if refused is not None:
                script.end(record, "refused", str(refused.status))
                return envelope(refused)
            try:
                if behaviour.fault == "stall_start":
                    await stall()
                if behaviour.fault == "drop_start":
                    raise Dropped
                if behaviour.fault == "invalid_json":
                    response: web.StreamResponse = web.Response(
                        body=b'{"output": oops', content_type="application/json"
                    )
                else:
                    pace = behaviour.pace or self._server.pace
                    response = await answer(request, body, record, behaviour, pace)
            except Refused as error:
                script.end(record, "failed", str(error))
                return envelope(error_response(error.status, error.code, error.message))
            except Dropped:
                script.end(record, "dropped")
                assert request.transport is not None
                request.transport.abort()
                raise asyncio.CancelledError from None
            except (asyncio.CancelledError, ClientConnectionResetError):
                script.end(record, "gone")
                raise
            script.end(record, "finished")
            return response

        return handle

    async def _task(self, request: web.Request) -> web.StreamResponse:
        if refused := refusal(Behaviour(), authorized=self._server.authorized(request)):
            return refused
        return self._jobs.state(request)
