"""Short texts spoken by one HTTP request, whose answer streams as server-sent events.

Source: https://help.aliyun.com/zh/model-studio/cosyvoice-tts-http-api
"""

import base64
import binascii
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from voice.dashscope.backoff import BackOff
from voice.dashscope.config import DashScopeConfig
from voice.dashscope.errors import DashScopeError, refusal
from voice.dashscope.messages import Parameters
from voice.http_patience import patient, pieces
from voice.http_transport import certificates

_PATH = "/services/audio/tts/SpeechSynthesizer"
_KEEPALIVE_SECONDS = 60
_MAX_ERROR = 65_536


class HttpSynthesis:
    """Belongs to the event loop in which it is first used.

    Args:
        config: Where the service is.
    """

    def __init__(self, config: DashScopeConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def speak(self, model: str, text: str, parameters: Parameters) -> AsyncIterator[bytes]:
        """Speak one text.

        Args:
            model: Who synthesises.
            text: At most 2 000 characters.
            parameters: As those of a task.

        Yields:
            Audio as it comes; at least one piece.

        Raises:
            DashScopeError: It failed, ``incomplete`` after some audio.
        """
        body = {"model": model, "input": {"text": text, **parameters}}
        back_off, heard = BackOff(), False
        while True:
            try:
                async for audio in self._asked(body):
                    heard = True
                    yield audio
            except DashScopeError as error:
                if heard:
                    raise error.broke_off() from None
                if error.kind != "rate":
                    raise
                await back_off.wait(error)
            else:
                return

    async def aclose(self) -> None:
        self._closed = True
        if self._session:
            await self._session.close()

    async def _asked(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        heard, patience = False, self._config.patience
        try:
            async with contextlib.AsyncExitStack() as answer:
                async with patient(patience.connect + patience.first_audio):
                    response = await answer.enter_async_context(
                        self._opened().post(self._config.http_url + _PATH, json=body)
                    )
                    if response.status != 200:
                        raise await _refused(response)
                async for event in _events(pieces(response.content, patience.first_audio)):
                    if event.get("code"):
                        raise refusal(
                            str(event["code"]),
                            str(event.get("message") or ""),
                            request_id=str(event.get("request_id") or ""),
                        )
                    output = event.get("output") or {}
                    if output.get("finish_reason") == "stop":
                        break  # what comes with it is the whole of the audio once more
                    if data := (output.get("audio") or {}).get("data"):
                        heard = True
                        yield base64.b64decode(data, validate=True)
                else:
                    raise DashScopeError("broke off its answer", kind="server")
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise DashScopeError(f"could not be reached: {error}", kind="server") from error
        except TimeoutError as error:
            raise DashScopeError("did not answer in time", kind="timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise DashScopeError(f"lost the connection: {error}", kind="server") from error
        except (ValueError, AttributeError, TypeError, binascii.Error) as error:
            raise DashScopeError(f"sent no event: {error}", kind="server") from error
        if not heard:
            raise DashScopeError("sent no audio", kind="server")

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the connections to dashscope are closed")
        if self._session is None:
            patience = self._config.patience
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.max_connections,
                    keepalive_timeout=_KEEPALIVE_SECONDS,
                    ssl=certificates(),
                ),
                headers=self._config.headers | {"X-DashScope-SSE": "enable"},
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=patience.connect,
                    sock_connect=patience.connect,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _events(body: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each server-sent event, whose data may span lines."""
    data: list[bytes] = []
    rest = b""
    async for piece in body:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:])
            elif not line and data:
                yield json.loads(b"\n".join(data))
                data.clear()
    if rest.startswith(b"data:"):
        data.append(rest[5:])
    if data:
        yield json.loads(b"\n".join(data))


async def _refused(response: aiohttp.ClientResponse) -> DashScopeError:
    code, message, request_id = "", response.reason or "", ""
    try:
        body = json.loads(await response.content.read(_MAX_ERROR))
        code, message = str(body.get("code") or ""), str(body.get("message") or message)
        request_id = str(body.get("request_id") or "")
    except (ValueError, AttributeError):
        pass  # gateways in front of the service answer in HTML: the status tells enough
    return refusal(
        code, message, status=response.status, headers=response.headers, request_id=request_id
    )
