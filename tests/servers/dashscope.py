"""A loopback DashScope: task WebSocket and HTTP, with a fixed pace and faults on demand.

In a test::

    async with DashScopeServer() as server:
        server.next("tts", Behaviour(fault="drop_middle"))
        dashscope.base_websocket_api_url = server.websocket_url

As a process it prints its URLs as the first line, a JSON object with ``url``,
``websocket_url``, ``http_url``, ``compatible_url`` and, with ``--tls``, ``ca_file``::

    python -m tests.servers.dashscope --port 0 --first-audio-ms 100 --tls

Other processes then steer it: ``POST /control/script`` takes
``{"kind": "tts", "next": [{…}], "always": {…}}`` (fields of `Behaviour`; both keys
optional), ``GET /control/log`` gives ``{"counts", "records", "connections"}``,
``POST /control/reset`` forgets everything.
"""

import argparse
import asyncio
import json
import signal
import ssl
import tempfile
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web

from tests.servers.dashscope_behaviour import Behaviour, Kind, Pace, Record, Script
from tests.servers.dashscope_http import HttpApi, error_response, refusal
from tests.servers.dashscope_protocol import stall, until
from tests.servers.dashscope_tasks import Connection

WEBSOCKET_PATH = "/api-ws/v1/inference"


class DashScopeServer:
    """The server; an async context manager that listens while it is entered.

    Args:
        pace: How fast healthy answers come.
        api_key: The one key let in; None lets in any, but not none at all.
        tls: Serve https and wss with a certificate of a CA of its own, see ``ca_pem``.
        silence: Seconds a client may send nothing within a task.
        idle: Seconds a connection may stand without a task.
        host: Address to listen on.
        port: 0 picks a free one.
    """

    def __init__(
        self,
        pace: Pace | None = None,
        *,
        api_key: str | None = None,
        tls: bool = False,
        silence: float = 23,
        idle: float = 60,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.pace = pace or Pace()
        self.script = Script()
        self.connections_opened = 0
        self._api_key = api_key
        self._silence, self._idle = silence, idle
        self._host, self._port = host, port
        self._open: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self.ca_pem: bytes | None = None
        if tls:
            authority = trustme.CA()
            self.ca_pem = authority.cert_pem.bytes()
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(host, "localhost").configure_cert(self._tls)
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_get(WEBSOCKET_PATH, self._websocket)
        app.router.add_post("/control/script", self._control_script)
        app.router.add_post("/control/reset", self._control_reset)
        app.router.add_get("/control/log", self._control_log)
        HttpApi(self).add_routes(app)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop_connections()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def websocket_url(self) -> str:
        """Of the task WebSocket."""
        return self.url.replace("http", "ws", 1) + WEBSOCKET_PATH

    @property
    def http_url(self) -> str:
        """Base of the native HTTP API."""
        return f"{self.url}/api/v1"

    @property
    def compatible_url(self) -> str:
        """Base of the OpenAI mode."""
        return f"{self.url}/compatible-mode/v1"

    def client_tls(self) -> ssl.SSLContext:
        """What a client needs to trust the server; only with ``tls``."""
        assert self.ca_pem is not None
        return ssl.create_default_context(cadata=self.ca_pem.decode())

    def next(self, kind: Kind, *behaviours: Behaviour) -> None:
        """Queue what happens to the next handshakes, tasks or requests, one each."""
        self.script.queued.setdefault(kind, deque()).extend(behaviours)

    def always(self, kind: Kind, behaviour: Behaviour) -> None:
        """What happens whenever nothing is queued."""
        self.script.always[kind] = behaviour

    def count(self, kind: Kind, what: str) -> int:
        """How many were "started", or came to one of the outcomes."""
        return self.script.counts.get(kind, {}).get(what, 0)

    def last(self, kind: Kind) -> Record:
        """The latest of a kind."""
        return next(each for each in reversed(self.script.records) if each.kind == kind)

    @property
    def connections_open(self) -> int:
        return len(self._open)

    def drop_connections(self) -> None:
        """Close every task WebSocket without a goodbye, as a failing network does."""
        for connection in tuple(self._open):
            connection.abort()

    def authorized(self, request: web.Request) -> bool:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and bool(key) and self._api_key in (None, key)

    # The WebSocket

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        behaviour = self.script.take("connect")
        pace = behaviour.pace or self.pace
        record = Record("connect", headers=dict(request.headers))
        self.script.begin(record)
        if behaviour.fault == "stall_start":
            await stall()
        if behaviour.fault == "drop_start":
            self.script.end(record, "dropped")
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        if pace.connect_ms:
            await until(time.monotonic() + pace.connect_ms / 1000)
        refused = refusal(behaviour, authorized=self.authorized(request))
        if refused is not None:
            self.script.end(record, "refused", str(refused.status))
            return refused
        self.connections_opened += 1
        connection = Connection(
            request,
            self.connections_opened,
            self.script,
            self.pace,
            silence=self._silence,
            idle=self._idle,
        )
        self._open.add(connection)
        try:
            return await connection.serve()
        finally:
            self._open.discard(connection)
            self.script.end(record, "finished")

    # Control by other processes

    async def _control_script(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        try:
            self.next(order["kind"], *map(Behaviour.from_json, order.get("next", ())))
            if "always" in order:
                self.always(order["kind"], Behaviour.from_json(order["always"]))
        except (TypeError, KeyError) as error:
            return error_response(400, "InvalidParameter", f"Not a script: {error}")
        return web.json_response({})

    async def _control_reset(self, request: web.Request) -> web.StreamResponse:
        self.script.clear()
        return web.json_response({})

    async def _control_log(self, request: web.Request) -> web.StreamResponse:
        log: dict[str, Any] = {
            "counts": self.script.counts,
            "records": [record.as_json() for record in self.script.records],
            "connections": {"opened": self.connections_opened, "open": self.connections_open},
        }
        return web.json_response(log)


async def _run(server: DashScopeServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    names = ("url", "websocket_url", "http_url", "compatible_url")
    with tempfile.TemporaryDirectory() as folder:
        async with server:
            told = {name: getattr(server, name) for name in names}
            if server.ca_pem:
                ca_file = Path(folder) / "ca.pem"
                ca_file.write_bytes(server.ca_pem)
                told["ca_file"] = str(ca_file)
            print(json.dumps(told), flush=True)
            await stop.wait()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="A DashScope of fixed pace.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=None)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--silence", type=float, default=23)
    parser.add_argument("--idle", type=float, default=60)
    for option in Pace.__dataclass_fields__:
        parser.add_argument(f"--{option.replace('_', '-')}", type=float, default=0.0)
    options = vars(parser.parse_args())
    pace = Pace(**{name: options.pop(name) for name in Pace.__dataclass_fields__})
    uvloop.run(_run(DashScopeServer(pace, **options)))


if __name__ == "__main__":
    main()
