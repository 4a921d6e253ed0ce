"""Which sockets are OpenAI's, and which are the platform's own."""

from accounts.openai_http import failure, is_openai
from accounts.sockets import Application, Receive, Scope, Send
from realtime.consumers import realtime_socket
from realtime.handshake import refusal

REALTIME = "/v1/realtime"


class Sockets:
    """Takes what is below ``/v1`` to itself; those have credentials and errors of OpenAI's.

    Args:
        app: For all other paths.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == REALTIME:
            await realtime_socket(scope, receive, send)
        elif is_openai(path):
            await receive()  # websocket.connect
            for message in refusal(scope, failure(404, method="GET", path=path)):
                await send(message)
        else:
            await self.app(scope, receive, send)
