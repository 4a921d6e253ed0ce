"""The connections to Qiniu's speech, and what their failures mean."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp

from voice.errors import ProviderError, Reason
from voice.http_errors import reason_of, retry_after
from voice.http_patience import patient
from voice.http_transport import certificates
from voice.qiniu.config import QiniuConfig
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT

_CONNECTIONS = 1_000
_KEEPALIVE_SECONDS = 60
_CLOSE_SECONDS = 0.25  # a barge-in does not wait for the other side's farewell
_PING_SECONDS = 20
_LARGEST_MESSAGE = 16 * 2**20

Socket = aiohttp.ClientWebSocketResponse


class QiniuClient:
    """One pool of connections; belongs to the event loop in which it is first used.

    Args:
        config: The address and the key.
        name: Registry name, for errors.
        connect_timeout: Seconds to connect, and for the handshake of a WebSocket.
        read_timeout: Seconds after which an answer that has not come counts as lost.
    """

    def __init__(
        self,
        config: QiniuConfig,
        *,
        name: str = "qiniu",
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.name = name
        self.read_timeout = read_timeout
        self._base_url = config.base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {config.api_key}"}
        self._connect_timeout = connect_timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask once and read the whole answer.

        Args:
            method: ``GET`` or ``POST``.
            path: Below the base URL, with its slash.
            body: Sent as JSON where there is one.

        Returns:
            The answer's JSON.

        Raises:
            ProviderError: It was refused, did not come, or is no JSON.
        """
        with self.failures():
            async with (
                patient(self._connect_timeout + self.read_timeout),
                self._opened().request(
                    method, self._base_url + path, json=body, allow_redirects=False
                ) as response,
            ):
                content = await response.read()
        if response.status != 200:
            raise self._refusal(response.status, response.headers, content)
        try:
            return json.loads(content)
        except ValueError as error:
            raise self.error("sent an answer that cannot be read") from error

    @contextlib.asynccontextmanager
    async def websocket(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Socket]:
        """An open WebSocket; it is closed with the block, whatever the other side does.

        Raises:
            ProviderError: The handshake was refused or did not come about. Failures inside
                the block are the caller's: see `failures`.
        """
        url = self._base_url.replace("http", "ws", 1) + path
        with self.failures():
            try:
                async with patient(self._connect_timeout + self.read_timeout):
                    socket = await self._opened().ws_connect(
                        url,
                        headers=headers,
                        heartbeat=_PING_SECONDS,
                        max_msg_size=_LARGEST_MESSAGE,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    )
            except aiohttp.WSServerHandshakeError as error:
                raise self._refusal(error.status, error.headers or {}, b"") from error
        try:
            yield socket
        finally:
            await socket.close()

    @contextlib.contextmanager
    def failures(self, *, begun: bool = False) -> Iterator[None]:
        """Turn failures of the connection into `ProviderError`.

        Args:
            begun: Part of the answer was already handed on.
        """
        try:
            yield
        except TimeoutError as error:
            slow = not isinstance(error, aiohttp.ConnectionTimeoutError)
            message = "did not answer in time" if slow else "cannot be reached in time"
            reason: Reason = "timeout" if slow else "unavailable"
            raise self.error(message, reason=reason, begun=begun) from error
        except (aiohttp.ClientError, OSError) as error:
            text = str(error) or type(error).__name__
            raise self.error(f"connection failed: {text}", begun=begun) from error

    def error(
        self,
        message: str,
        *,
        reason: Reason = "unavailable",
        begun: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> ProviderError:
        """The error of this provider; ``incomplete`` where the answer had begun."""
        return ProviderError(
            f"{self.name} {message}",
            provider=self.name,
            reason="incomplete" if begun else reason,
            status=status,
            retry_after=retry_after,
        )

    def told(self, answer: Any, *, begun: bool = False) -> ProviderError | None:
        """The failure that a JSON message of a WebSocket tells of; None where it tells none."""
        code, message = _envelope(answer)
        if not code and not message:
            return None
        status = int(code) if code.isdecimal() and 400 <= int(code) < 600 else 500
        reason = _reason(status, code, message)
        return self.error(f"failed: {message[:200] or code}", reason=reason, begun=begun)

    async def warm(self) -> None:
        """Read the trusted certificates: 40 ms that the first request would else wait."""
        certificates()

    async def probe(self) -> None:
        """Ask for the list of voices, which costs nothing and needs the key.

        Raises:
            ProviderError: The service cannot be reached, refuses the key or is overloaded.
        """
        await self.request("GET", "/voice/list")

    async def aclose(self) -> None:
        """Close all connections; further use is a ``RuntimeError``."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
        try:
            code, message = _envelope(json.loads(content))
        except ValueError:
            code, message = "", content.decode(errors="replace")
        reason = _reason(status, code, message)
        text = f"answered {status}"
        if message and reason != "auth":  # answers to a wrong key may quote it
            text += f": {message[:200]}"
        return self.error(text, reason=reason, status=status, retry_after=retry_after(headers))

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError(f"the provider {self.name} is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=certificates()
                ),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._connect_timeout,
                    sock_connect=self._connect_timeout,
                ),
            )
        return self._session


def _envelope(answer: Any) -> tuple[str, str]:
    """Code and message of ``{"error": {…}}``, ``{"error": "…"}`` or ``{"code", "message"}``."""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error", answer)
    if not isinstance(error, dict):
        return "", str(error or "")
    code = error.get("code") or error.get("type") or ""
    return str(code), str(error.get("message") or "")


def _reason(status: int, code: str, message: str) -> Reason:
    """Only ``invalid_voice_type`` is documented of the codes; the status tells the rest."""
    if "invalid_voice_type" in f"{code} {message}":
        return "bad_request"
    if code == "quota_exceeded_error":
        return "rate_limited"
    return reason_of(status, code or None, message)
