"""One WebSocket to the task service."""

import asyncio
import json
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.protocol import State

from voice.dashscope.config import DashScopeConfig
from voice.dashscope.errors import DashScopeError, refusal
from voice.dashscope.messages import Event, parsed
from voice.http_transport import certificates

_PING_SECONDS = 20.0
_WRITE_SECONDS = 10.0
_GOODBYE_SECONDS = 1.0
_MAX_MESSAGE = 8 * 2**20


class Connection:
    """An open WebSocket; see `opened`. One task at a time uses it.

    Attributes:
        kept: Whether it stood idle since it was made; it may be dead without a sign.
        idle_since: Since when, by ``time.monotonic``.
    """

    __slots__ = ("_socket", "idle_since", "kept")

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.kept = False
        self.idle_since = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether, as far as this side knows, both sides can still send."""
        return self._socket.state is State.OPEN

    async def send(self, message: str | bytes) -> None:
        """Send one frame; waits while the service does not read, but not for ever.

        Raises:
            DashScopeError: The connection is lost (``server``), or nothing was read for 10 s
                (``timeout``).
        """
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._socket.send(message)
        except TimeoutError as error:
            told = f"read nothing for {_WRITE_SECONDS:g} s"
            raise DashScopeError(told, kind="timeout") from error
        except ConnectionClosed as error:
            raise _lost(error) from error

    async def receive(self) -> Event | bytes:
        """The next event, or piece of audio. May be cancelled without a loss.

        What is not received is not read from the network: a slow listener slows the service.

        Raises:
            DashScopeError: The connection is lost, or what came is not the protocol
                (``server``).
        """
        try:
            message = await self._socket.recv()
            return message if isinstance(message, bytes) else parsed(message)
        except ConnectionClosed as error:
            raise _lost(error) from error
        except ValueError as error:
            raise DashScopeError(f"sent a frame that cannot be read: {error}", kind="server") from (
                error
            )

    async def close(self, last_words: str = "") -> None:
        """Close at once: at most a second of good manners, then the line is cut.

        Args:
            last_words: A message to send before.
        """
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                if last_words and self.is_open:
                    await self._socket.send(last_words)
                await self._socket.close()
        except (TimeoutError, WebSocketException, OSError):
            pass  # it is closed either way
        finally:
            self._socket.transport.abort()


async def opened(config: DashScopeConfig) -> Connection:
    """Connect.

    Follows no proxy of the environment, as all clients here.

    Raises:
        DashScopeError: Refused (``auth``, ``billing``, ``rate`` … by the answer), out of time
            or out of reach (``server``).
    """
    url = config.websocket_url
    try:
        socket = await connect(
            url,
            ssl=certificates() if url.startswith("wss:") else None,
            additional_headers=config.headers,
            compression=None,  # audio does not compress, and each deflate holds 64 KiB
            proxy=None,
            open_timeout=config.patience.connect,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            close_timeout=_GOODBYE_SECONDS,
            max_size=_MAX_MESSAGE,
        )
    except InvalidStatus as error:
        raise _refused(error.response) from error
    except TimeoutError as error:
        message = f"could not be reached within {config.patience.connect:g} s"
        raise DashScopeError(message, kind="server") from error
    except (OSError, WebSocketException) as error:
        message = f"could not be reached: {error or type(error).__name__}"
        raise DashScopeError(message, kind="server") from error
    return Connection(socket)


def _refused(response: Response) -> DashScopeError:
    code, message, request_id = "", response.reason_phrase, ""
    try:
        body = json.loads(response.body or b"")
        code, message = str(body.get("code") or ""), str(body.get("message") or message)
        request_id = str(body.get("request_id") or "")
    except (ValueError, AttributeError):
        pass  # gateways in front of the service answer in HTML: the status tells enough
    return refusal(
        code,
        message,
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.raw_items()},
        request_id=request_id,
    )


def _lost(error: ConnectionClosed) -> DashScopeError:
    how = f"{error.rcvd.code} {error.rcvd.reason}".strip() if error.rcvd else "without a goodbye"
    return DashScopeError(f"closed the connection: {how}", kind="server")
