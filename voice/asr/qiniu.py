"""Recognition by Qiniu, streamed over a WebSocket."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp

from voice.asr.base import SAMPLE_RATE, RecognizerCapabilities, Transcript
from voice.errors import ProviderError, Reason
from voice.http_errors import reason_of
from voice.qiniu.client import QiniuClient, Socket
from voice.qiniu.config import QiniuConfig
from voice.qiniu.frames import Frame, FrameError, Kind, decode, encode
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT

_MOST_SECONDS = 300.0
_LEAST_BYTES = SAMPLE_RATE * 2 // 10  # nobody says anything in 0.1 s
_SEGMENT_BYTES = SAMPLE_RATE * 2 * 3 // 10  # 300 ms, as Qiniu advises
# Text that stands still for so long after the last audio is final: the service marks its last
# result now and then only.
_SETTLED_SECONDS = 1.5
_CLOSING = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


class QiniuRecognizer:
    """Sends audio as it comes and hands on the text as it grows.

    Args:
        config: The address and the key.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds to wait for the first result after the end of the audio.
        settled: Seconds without a new text after the end of the audio, after which the text
            is final where the service does not say so itself.
        name: Registry name, for errors.
    """

    capabilities = RecognizerCapabilities(streaming=True, max_seconds=_MOST_SECONDS)

    def __init__(
        self,
        config: QiniuConfig,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        settled: float = _SETTLED_SECONDS,
        name: str = "qiniu",
    ) -> None:
        self.name = name
        self._settled = settled
        self._client = QiniuClient(
            config, name=name, connect_timeout=connect_timeout, read_timeout=read_timeout
        )

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """See `Recognizer.recognize`. The service finds the language out by itself."""
        text = ""
        async with contextlib.AsyncExitStack() as stack:
            segments = await stack.enter_async_context(aclosing(self._segments(audio)))
            first, only = await anext(segments)
            if only and len(first) < _LEAST_BYTES:
                yield Transcript("", is_final=True, language=language)
                return
            socket = await stack.enter_async_context(self._client.websocket("/voice/asr"))
            sending = asyncio.create_task(self._send(socket, first, only, segments))
            try:
                with self._client.failures():
                    async with aclosing(self._texts(socket, sending)) as texts:
                        async for text in texts:
                            yield Transcript(text, is_final=False, language=language)
            except ProviderError as error:
                if text and error.retryable:
                    raise self._client.error(f"broke off: {error}", begun=True) from error
                raise
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        yield Transcript(text, is_final=True, language=language)

    async def warm(self) -> None:
        """Load this side of the connection; the server has the model."""
        await self._client.warm()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self._client.probe()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _segments(
        self, audio: AsyncIterable[bytes]
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Pieces of 300 ms, and whether it is the last: that one holds the rest.

        It is empty only where there is no audio at all.
        """
        held, taken = bytearray(), 0
        async for piece in audio:
            taken += len(piece)
            if taken > _MOST_SECONDS * SAMPLE_RATE * 2:
                raise self._client.error(
                    f"takes no more than {_MOST_SECONDS:.0f} s of audio", reason="bad_request"
                )
            held += piece
            while len(held) > _SEGMENT_BYTES:
                yield bytes(held[:_SEGMENT_BYTES]), False
                del held[:_SEGMENT_BYTES]
        yield bytes(held), True

    async def _send(
        self,
        socket: Socket,
        segment: bytes,
        is_last: bool,
        following: AsyncIterator[tuple[bytes, bool]],
    ) -> None:
        """Send all audio; the last frame says that it is the last."""
        await socket.send_bytes(encode(Frame(Kind.CONFIG, _configuration(), sequence=1)))
        sequence = 2
        while not is_last:
            await socket.send_bytes(encode(Frame(Kind.AUDIO, segment, sequence)))
            segment, is_last = await anext(following)
            sequence += 1
        await socket.send_bytes(encode(Frame(Kind.AUDIO, segment, -sequence, is_last=True)))

    async def _texts(
        self, socket: Socket, sending: asyncio.Task[None]
    ) -> AsyncGenerator[str, None]:
        """Each new text, until it is the final one."""
        text, answered, since = "", False, 0.0
        receiving = asyncio.create_task(socket.receive())
        try:
            while True:
                wait = None
                if sending.done():
                    if not receiving.done():
                        sending.result()
                    since = since or time.monotonic()
                    patience = self._settled if answered else self._client.read_timeout
                    wait = max(0.0, since + patience - time.monotonic())
                waited = {receiving} if sending.done() else {receiving, sending}
                await asyncio.wait(waited, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    if wait is None:
                        continue  # all audio is sent
                    if answered:
                        return
                    raise self._client.error("gave no result in time", reason="timeout")
                message = receiving.result()
                if message.type in _CLOSING:
                    if answered and sending.done() and socket.close_code == 1000:
                        return
                    raise self._client.error("closed the connection before the end")
                found, is_last = self._read(message)
                if found is not None:
                    answered = True
                    if found != text:
                        text, since = found, time.monotonic() if sending.done() else 0.0
                        yield text
                if is_last:
                    return
                receiving = asyncio.create_task(socket.receive())
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def _read(self, message: aiohttp.WSMessage) -> tuple[str | None, bool]:
        """The whole text so far, None where the message has none; whether it is the last."""
        if message.type is aiohttp.WSMsgType.ERROR:
            raise message.data
        is_last = False
        try:
            if message.type is aiohttp.WSMsgType.TEXT:
                answer = json.loads(message.data)
            else:
                frame = decode(message.data)
                if frame.kind is Kind.ERROR:
                    told = f"failed with {frame.code}: {frame.payload.decode(errors='replace')}"
                    raise self._client.error(told[:250], reason=_reason(frame.code))
                is_last = frame.is_last
                answer = json.loads(frame.payload) if frame.payload else {}
        except (FrameError, ValueError) as error:
            raise self._client.error("sent a frame that cannot be read") from error
        text = _text(answer)
        if text is None and (failure := self._client.told(answer)):
            raise failure
        return text, is_last


def _reason(code: int) -> Reason:
    """Qiniu documents no codes; those of Volcano Engine begin with what is like a status."""
    status = int(str(code)[:3])
    return "bad_request" if 440 <= status < 500 else reason_of(status)


def _configuration() -> bytes:
    return json.dumps(
        {
            "user": {"uid": uuid.uuid4().hex},
            "audio": {
                "format": "pcm",
                "sample_rate": SAMPLE_RATE,
                "bits": 16,
                "channel": 1,
                "codec": "raw",
            },
            "request": {"model_name": "asr", "enable_punc": True},
        }
    ).encode()


def _text(answer: Any) -> str | None:
    """The transcript of a result, in either place where it stands."""
    for holder in (answer, answer.get("payload_msg") if isinstance(answer, dict) else None):
        result = holder.get("result") if isinstance(holder, dict) else None
        if isinstance(result, dict) and isinstance(result.get("text"), str):
            return str(result["text"]).strip()
    return None
