"""Synthesis by Qiniu, over a WebSocket or over HTTP."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import aiohttp

from voice.audio.codecs import AudioError, decode_mp3_stream
from voice.errors import ProviderError
from voice.qiniu.client import QiniuClient
from voice.qiniu.config import QiniuConfig
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.read_ahead import read_ahead
from voice.tts.splitting import split_text

_SAMPLE_RATE = 24_000
_MOST_CHARACTERS = 4_096
_CHARACTERS_A_REQUEST = 300
_AT_ONCE = 4
_PAUSE, _LONGEST_PAUSE = 0.5, 2.0  # seconds before a later piece is asked for again


class QiniuSynthesizer:
    """Speaks long text in several requests, in order and without gaps.

    Args:
        config: The address, the key, and whether a WebSocket or HTTP is used.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without a byte after which the answer counts as lost.
        name: Registry name, for errors.
    """

    def __init__(
        self,
        config: QiniuConfig,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "qiniu",
    ) -> None:
        self.name = name
        self._over_http = config.tts_transport == "http"
        self.capabilities = SynthesizerCapabilities(
            sample_rate=_SAMPLE_RATE,
            streaming=not self._over_http,
            max_characters=_MOST_CHARACTERS,
        )
        self._client = QiniuClient(
            config, name=name, connect_timeout=connect_timeout, read_timeout=read_timeout
        )

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        """See `Synthesizer.synthesize`."""
        # Over HTTP a request is answered whole, so that the first one is a short one.
        parts = split_text(text, _CHARACTERS_A_REQUEST, short_first=self._over_http)
        sources = [
            partial(self._piece, _request(part, voice.name, speed), is_first=not number)
            for number, part in enumerate(parts)
        ]
        begun = False
        try:
            async with aclosing(read_ahead(sources, at_once=_AT_ONCE)) as clips:
                async for clip in clips:
                    async for pcm in decode_mp3_stream(clip, sample_rate=_SAMPLE_RATE):
                        begun = True
                        yield pcm
        except AudioError as error:
            raise self._client.error(f"sent no mp3: {error}", begun=begun) from error
        except ProviderError as error:
            if begun and error.reason != "incomplete":
                raise self._client.error(f"broke off: {error}", begun=True) from error
            raise
        if not begun:
            raise self._client.error("sent no audio")

    async def warm(self) -> None:
        """Load this side of the connection; the server has the voices."""
        await self._client.warm()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self._client.probe()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _piece(self, request: dict[str, Any], *, is_first: bool) -> AsyncIterator[bytes]:
        """The mp3 of one request; a later one that fails at its start is made once more.

        The caller decides about the first: it may rather ask another provider.
        """
        ask = self._by_http if self._over_http else self._by_websocket
        begun = False
        try:
            async with aclosing(ask(request)) as clip:
                async for mp3 in clip:
                    begun = True
                    yield mp3
        except ProviderError as error:
            pause = _PAUSE if error.retry_after is None else error.retry_after
            if is_first or begun or not error.retryable or pause > _LONGEST_PAUSE:
                raise
            await asyncio.sleep(pause)
        else:
            return
        async with aclosing(ask(request)) as clip:
            async for mp3 in clip:
                yield mp3

    async def _by_http(self, request: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        answer = await self._client.request("POST", "/voice/tts", request)
        if mp3 := self._audio(answer):
            yield mp3

    async def _by_websocket(self, request: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """The server closes after its last frame, so that each request has its own socket."""
        headers = {"VoiceType": request["audio"]["voice_type"]}
        async with self._client.websocket("/voice/tts", headers) as socket:
            with self._client.failures():
                await socket.send_bytes(json.dumps(request).encode())
            while True:
                with self._client.failures():
                    async with asyncio.timeout(self._client.read_timeout):
                        message = await socket.receive()
                    if message.type is aiohttp.WSMsgType.ERROR:
                        raise message.data
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    raise self._client.error("closed the connection before the last frame")
                try:
                    answer = json.loads(message.data)
                except ValueError as error:
                    raise self._client.error("sent a frame that is not JSON") from error
                if mp3 := self._audio(answer):
                    yield mp3
                if int(answer.get("sequence") or 0) < 0:
                    return

    def _audio(self, answer: Any) -> bytes:
        """The mp3 of one answer; some hold none."""
        if not isinstance(answer, dict):
            raise self._client.error("sent an answer that is no object")
        data = answer.get("data")
        if not data and "sequence" not in answer and (failure := self._client.told(answer)):
            raise failure
        try:
            return base64.b64decode(data or b"", validate=True)
        except (ValueError, TypeError) as error:
            raise self._client.error("sent audio that is not base64") from error


def _request(text: str, voice_type: str, speed: float) -> dict[str, Any]:
    return {
        "audio": {"voice_type": voice_type, "encoding": "mp3", "speed_ratio": speed},
        "request": {"text": text},
    }
