"""The socket ``/v1/realtime``: let in, read, and closed in good order."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from django.conf import settings

from accounts.credentials import is_still_good
from accounts.database import in_database_thread
from accounts.openai_http import ApiError, failure
from accounts.sockets import Receive, Scope, Send
from chat import live
from realtime import connections
from realtime.admission import Admission, admit
from realtime.client_json import parse_frame
from realtime.dialect import Dialect
from realtime.driver import Driver
from realtime.event_rate import EVENTS_A_SECOND, EventRate
from realtime.handshake import Handshake, refusal
from realtime.ids import new_id
from realtime.session import Session
from realtime.writer import Writer

logger = structlog.get_logger(__name__)

# How often it is looked whether whoever is connected still may be (seconds).
_LOOK_SECONDS = 15.0
# Of values in an event: millions would take a second to read, and hundreds of MB.
_MOST_COMMAS = 300_000


async def realtime_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of one socket.

    A refusal is an answer by HTTP, with a status and OpenAI's error object: clients decide
    by it whether to try again.
    """
    await receive()  # websocket.connect
    structlog.contextvars.clear_contextvars()
    try:
        if not settings.REALTIME_ENABLED:
            raise failure(404, method="GET", path=scope["path"])
        handshake = Handshake.of(scope)
        shown = await in_database_thread(handshake.sign_in)
        with connections.place(shown.credential.user.pk):
            admission = await in_database_thread(admit, handshake, shown)
            setup = replace(admission.setup, streaming=await live.streams())
            line = Line(replace(admission, setup=setup), handshake, receive, send)
            await send({"type": "websocket.accept", "subprotocol": handshake.accepted_subprotocol})
            await line.run()
    except ApiError as error:
        await _refuse(scope, send, error)
    except Exception:
        logger.exception("handshake broke")
        await _refuse(scope, send, failure(500))


async def _refuse(scope: Scope, send: Send, error: ApiError) -> None:
    for message in refusal(scope, error):
        await send(message)


class Line:
    """One open socket: one reader, one writer, a session between them.

    Args:
        admission: Who was let in.
        handshake: How.
        receive: Of the ASGI server.
        send: The same.
    """

    def __init__(
        self, admission: Admission, handshake: Handshake, receive: Receive, send: Send
    ) -> None:
        self._admission = admission
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(send)
        setup = admission.setup
        session = Session(setup, clock=self._loop.time, new_id=new_id)
        dialect = Dialect(handshake, setup.conversation_id, new_id)
        session.extensions = dialect.is_beta
        self._driver = Driver(session, admission, dialect, self._writer)
        self._rate = EventRate(self._loop.time)
        self._heard_at = self._loop.time()

    async def run(self) -> None:
        """Serve the socket until one side closes it; what was said is stored by then."""
        setup = self._admission.setup
        log = logger.bind(user_id=self._admission.credential.user.pk, session_id=setup.session_id)
        log.info("session open", kind=setup.kind, resumed=setup.resumed)
        reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._writer.run())
        watching = asyncio.create_task(self._watch())
        try:
            with connections.listed(self._say_goodbye):
                self._driver.begin()
                await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
                if self._writer.ending:
                    await asyncio.wait({writing})  # for some seconds at most
        finally:
            for task in (reading, writing, watching):
                task.cancel()
            ends = await asyncio.gather(reading, writing, watching, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    log.error("socket broke", exc_info=end)
            await self._driver.aclose()
            log.info("session closed")

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard_at = self._loop.time()
            try:
                await self._take(message)
            except Exception:
                logger.exception("event could not be taken")
                self._driver.close(1011, "The server had an error.", "server_error", "server_error")
                return

    async def _take(self, message: Mapping[str, Any]) -> None:
        text = message.get("text")
        if text is None:
            self._driver.refuse("invalid_event", "Events are text, not binary frames.")
            return
        if text.count(",") > _MOST_COMMAS:
            self._driver.refuse("invalid_value", "The event has too many values.")
            return
        try:
            event = parse_frame(text)
        except (ValueError, RecursionError):
            self._driver.refuse("invalid_json", "The event is not JSON.")
            return
        if not isinstance(event, dict):
            self._driver.refuse("invalid_json", "An event is a JSON object.")
            return
        if not self._rate.allows(event.get("type")):
            self._driver.refuse(
                "rate_limit_exceeded",
                f"At most {EVENTS_A_SECOND} events a second are taken; this one was not.",
                event_id=event.get("event_id"),
                kind="rate_limit_error",
            )
            return
        await self._driver.receive(event)

    async def _watch(self) -> None:
        """Close a socket that is not used any more, or must not be."""
        idle_seconds = settings.REALTIME_IDLE_MINUTES * 60
        looked_at = self._loop.time()
        while True:
            idle_at = self._heard_at + idle_seconds
            await asyncio.sleep(min(idle_at, looked_at + _LOOK_SECONDS) - self._loop.time())
            if self._loop.time() >= self._heard_at + idle_seconds:
                message = "Nothing came from the client for too long."
                self._driver.close(1000, message, "session_idle")
                return
            if self._loop.time() < looked_at + _LOOK_SECONDS:
                continue
            looked_at = self._loop.time()
            try:
                good = await in_database_thread(is_still_good, self._admission.credential)
            except Exception:
                logger.exception("credential could not be looked at")  # the database is away
                continue
            if not good:
                message = "The API key was revoked or has expired."
                self._driver.close(1008, message, "invalid_api_key")
                return

    def _say_goodbye(self) -> None:
        self._driver.close(1001, "server is going away")
