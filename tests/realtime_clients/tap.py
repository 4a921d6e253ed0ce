"""A relay between a client and a server that keeps what both said, byte for byte.

It knows nothing of HTTP or WebSockets while it relays: whatever a client does to the
server, refusals of a handshake included, it does through the relay too. With a context it
ends TLS, as a proxy in front of the platform does.
"""

import asyncio
import json
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TEXT, CLOSE, CONTINUED = 1, 8, 0


@dataclass
class Exchange:
    """One TCP connection."""

    asked: bytearray = field(default_factory=bytearray, repr=False)
    answered: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def status(self) -> int:
        """Of the first answer: 101 for a WebSocket."""
        return int(self.answered.split(b" ", 2)[1])

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the server said over the WebSocket."""
        return [json.loads(text) for code, text in _messages(self.answered) if code == TEXT]

    @property
    def frames(self) -> list[str]:
        """The same, as it was written."""
        return [text.decode() for code, text in _messages(self.answered) if code == TEXT]

    @property
    def client_events(self) -> list[dict[str, Any]]:
        """What the client said over it."""
        return [json.loads(text) for code, text in _messages(self.asked) if code == TEXT]

    @property
    def close_code(self) -> int | None:
        """What the server closed with, if it has."""
        codes = [payload for code, payload in _messages(self.answered) if code == CLOSE]
        return struct.unpack(">H", codes[0][:2])[0] if codes and codes[0] else None


def _messages(stream: bytearray) -> Iterator[tuple[int, bytes]]:
    """The whole messages of a WebSocket, with the opcode; one that is still coming is left."""
    head = stream.find(b"\r\n\r\n")
    if head < 0:
        return
    data, at = bytes(stream[head + 4 :]), 0
    opcode, parts = CONTINUED, bytearray()
    while len(data) - at >= 2:
        first, second = data[at], data[at + 1]
        length, begin = second & 0x7F, at + 2
        if length > 125:
            wide = 2 if length == 126 else 8
            if len(data) < begin + wide:
                return
            length = int.from_bytes(data[begin : begin + wide], "big")
            begin += wide
        mask = data[begin : begin + 4] if second & 0x80 else b""
        begin += len(mask)
        if len(data) < begin + length:
            return
        payload, at = data[begin : begin + length], begin + length
        assert not first & 0x70, "the server agreed to an extension"
        code = first & 0x0F
        if code >= CLOSE:
            yield code, _unmasked(payload, mask)
            continue
        opcode = code or opcode
        parts += _unmasked(payload, mask)
        if first & 0x80:
            yield opcode, bytes(parts)
            parts.clear()


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    if not mask:
        return payload
    whole = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ whole).to_bytes(len(payload), "big")


class Tap:
    """A relay that listens; see ``tap``."""

    def __init__(self, target: str, context: ssl.SSLContext | None) -> None:
        address = urlsplit(target)
        self._target = address.hostname, address.port
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self.exchanges: list[Exchange] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        """Instead of the server's."""
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http", "ws", 1)

    def sockets(self) -> list[Exchange]:
        """Those that became WebSockets, in the order in which they were opened."""
        return [each for each in self.exchanges if each.answered.startswith(b"HTTP/1.1 101")]

    def forget(self) -> None:
        self.exchanges.clear()

    def run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        listening = asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=self._context)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._connections:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _relay(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        exchange = Exchange()
        self.exchanges.append(exchange)
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(
                _carry(client_reader, server_writer, exchange.asked),
                _carry(server_reader, client_writer, exchange.answered),
            )
        finally:
            client_writer.close()
            server_writer.close()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
    """Until the source has ended; that end is passed on where the transport can say it."""
    try:
        while data := await source.read(2**16):
            kept += data
            sink.write(data)
            await sink.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    sink.close()


@contextmanager
def tap(target: str, context: ssl.SSLContext | None = None) -> Iterator[Tap]:
    """A relay to the server of that URL for as long as the block takes."""
    relay, ready = Tap(target, context), threading.Event()
    thread = threading.Thread(target=relay.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield relay
    relay.stop()
    thread.join(10)
