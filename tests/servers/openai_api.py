"""A loopback server that speaks the OpenAI HTTP API, with a fixed pace and faults on demand.

In a test::

    async with OpenAIServer() as server:
        server.next("chat", Behaviour(text="你好"))
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")

As a process it prints its base URL (the one with ``/v1``) as the first line::

    python -m tests.servers.openai_api --port 0 --asr-ms 100 --llm-first-ms 200 \
        --tokens-per-second 30 --tts-first-ms 150

Other processes then steer it: ``POST /control/script`` takes
``{"endpoint": "chat", "next": [{…}], "always": {…}}`` (fields of `Behaviour`; both keys
optional), ``GET /control/log`` gives ``{"counts", "exchanges"}``, ``POST /control/reset``
forgets everything.
"""

import argparse
import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientConnectionResetError, web

from tests.servers.behaviour import Behaviour, Endpoint, Exchange, Pace, Script
from tests.servers.openai_answers import (
    Body,
    Dropped,
    chat,
    error_response,
    fail_before,
    speech,
    transcriptions,
)

VOICES = ("zf_xiaoxiao", "am_adam", "vivian")
MODELS = ("loopback-chat", "loopback-asr", "loopback-tts")


class OpenAIServer:
    """The server; an async context manager that listens while it is entered.

    Args:
        pace: How fast healthy answers come.
        api_key: The one key let in; None lets anybody in.
        host: Address to listen on.
        port: 0 picks a free one.
    """

    wants_model: frozenset[Endpoint] = frozenset({"chat", "transcriptions", "speech"})

    def __init__(
        self,
        pace: Pace | None = None,
        *,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.pace = pace or Pace()
        self.script = Script()
        self._api_key = api_key
        self._host, self._port = host, port
        app = web.Application(client_max_size=32 * 2**20)
        self._add_endpoints(app.router)
        app.router.add_post("/v1/chat/completions", self._endpoint("chat", chat))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name}", self._model)
        app.router.add_post("/control/script", self._control_script)
        app.router.add_post("/control/reset", self._control_reset)
        app.router.add_get("/control/log", self._control_log)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """What a client of the API is configured with."""
        return f"{self.url}/v1"

    def next(self, endpoint: Endpoint, *behaviours: Behaviour) -> None:
        """Queue answers for the next requests, one each."""
        self.script.queued.setdefault(endpoint, deque()).extend(behaviours)

    def always(self, endpoint: Endpoint, behaviour: Behaviour) -> None:
        """Answer so whenever nothing is queued."""
        self.script.always[endpoint] = behaviour

    def count(self, endpoint: Endpoint, what: str) -> int:
        """How many requests were "started", "finished", "cancelled" (by the client), "dropped"."""
        return self.script.counts.get(endpoint, {}).get(what, 0)

    def last(self, endpoint: Endpoint) -> Exchange:
        """The latest request of an endpoint."""
        return next(e for e in reversed(self.script.exchanges) if e.endpoint == endpoint)

    # The requests

    def _add_endpoints(self, router: web.UrlDispatcher) -> None:
        """What this vendor has beside ``/chat/completions`` and ``/models``."""
        router.add_post(
            "/v1/audio/transcriptions", self._endpoint("transcriptions", transcriptions)
        )
        router.add_post("/v1/audio/speech", self._endpoint("speech", speech))
        router.add_get("/v1/audio/voices", self._endpoint("voices", self._voices))

    def _endpoint(
        self,
        endpoint: Endpoint,
        answer: Callable[[web.Request, Body, Behaviour, Pace], Awaitable[web.StreamResponse]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap a healthy answer in authentication, record, faults and counters."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await _body_of(request)
            if body is None:
                return error_response(400, "We could not parse the body of your request.")
            behaviour = self.script.take(endpoint)
            peer = request.transport.get_extra_info("peername") if request.transport else None
            exchange = Exchange(endpoint, dict(request.headers), body, str(peer))
            self.script.begin(exchange)
            try:
                response = self._refusal(endpoint, request, body, behaviour)
                if response is None:
                    await fail_before(behaviour)
                    pace = behaviour.pace or self.pace
                    response = await answer(request, body, behaviour, pace)
            except (asyncio.CancelledError, ClientConnectionResetError):
                self.script.end(exchange, "cancelled")
                raise
            except Dropped:
                self.script.end(exchange, "dropped")
                assert request.transport is not None
                request.transport.abort()
                raise asyncio.CancelledError from None
            self.script.end(exchange, "finished")
            return response

        return handle

    def _refusal(
        self,
        endpoint: Endpoint,
        request: web.Request,
        body: dict[str, Any],
        behaviour: Behaviour,
    ) -> web.Response | None:
        if refused := self._wrong_key(request):
            return refused
        if behaviour.status >= 400:
            response = error_response(
                behaviour.status, "Scripted failure.", code=behaviour.code, behaviour=behaviour
            )
            if behaviour.retry_after is not None:
                response.headers["Retry-After"] = behaviour.retry_after
            return response
        for field in behaviour.rejects:
            if field in body:
                named = field if behaviour.names_field else None
                message = f"Unrecognized request argument: {named or 'one of them'}"
                return error_response(400, message, param=named, behaviour=behaviour)
        if endpoint in self.wants_model and not body.get("model"):
            return error_response(400, "You must provide a model parameter", param="model")
        return None

    def _wrong_key(self, request: web.Request) -> web.Response | None:
        if self._api_key and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return error_response(401, "Incorrect API key provided.", code="invalid_api_key")
        return None

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if refused := self._wrong_key(request):
            return refused
        return web.json_response({"object": "list", "data": [_model_card(name) for name in MODELS]})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in MODELS:
            return error_response(404, f"The model '{name}' does not exist", code="model_not_found")
        return web.json_response(_model_card(name))

    async def _voices(
        self, request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
    ) -> web.StreamResponse:
        """As Kokoro-FastAPI and vLLM-Omni have it; a newer one tells more of a voice."""
        if behaviour.fault == "invalid_json":
            return web.json_response({"voices": "none"})
        plain, *rest = VOICES
        return web.json_response({"voices": [plain, *({"id": n, "name": n} for n in rest)]})

    # Control by other processes

    async def _control_script(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        try:
            self.next(order["endpoint"], *map(Behaviour.from_json, order.get("next", ())))
            if "always" in order:
                self.always(order["endpoint"], Behaviour.from_json(order["always"]))
        except (TypeError, KeyError) as error:
            return error_response(400, f"Not a script: {error}")
        return web.json_response({})

    async def _control_reset(self, request: web.Request) -> web.StreamResponse:
        self.script = Script()
        return web.json_response({})

    async def _control_log(self, request: web.Request) -> web.StreamResponse:
        exchanges = [exchange.as_json() for exchange in self.script.exchanges]
        return web.json_response({"counts": self.script.counts, "exchanges": exchanges})


async def _body_of(request: web.Request) -> dict[str, Any] | None:
    """The JSON object or the form of a request; an upload comes as its bytes."""
    if request.content_type == "application/json":
        with contextlib.suppress(ValueError):
            body = await request.json()
            if isinstance(body, dict):
                return body
        return None
    form = await request.post()
    return {
        name: value.file.read() if isinstance(value, web.FileField) else value
        for name, value in form.items()
    }


def _model_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "loopback"}


async def _run(server: OpenAIServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        print(server.base_url, flush=True)
        await stop.wait()


def main(kind: type[OpenAIServer] = OpenAIServer) -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="A provider of fixed pace on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=None)
    for option in Pace.__dataclass_fields__:
        parser.add_argument(f"--{option.replace('_', '-')}", type=float, default=0.0)
    options = parser.parse_args()
    pace = Pace(**{name: getattr(options, name) for name in Pace.__dataclass_fields__})
    uvloop.run(_run(kind(pace, api_key=options.api_key, host=options.host, port=options.port)))


if __name__ == "__main__":
    main()
