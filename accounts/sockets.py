"""JWT for WebSockets: by header, by subprotocol pair, by single-use ticket."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import services
from accounts.authentication import user_of_token
from accounts.database import in_database_thread
from accounts.models import User

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SUBPROTOCOL = "bearer"


class TokenAuthMiddleware:
    """Puts ``scope["user"]``, or refuses the handshake with 401.

    First match wins: ``Authorization: Bearer …``; the subprotocol pair ``bearer, <token>``
    (answered with ``bearer``: ``scope["accepted_subprotocol"]``); ``?ticket=``. Where the
    server cannot answer a handshake with a status of its own (daphne), it is refused with
    the server's 403.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = await in_database_thread(_user_of, scope)
        if user is None:
            await receive()  # websocket.connect
            with translation.override(accepted_language(scope)):
                answer = refusal(scope, status=401, message=_("用户未认证"))
            for message in answer:
                await send(message)
            return
        offered = scope.get("subprotocols", [])
        accepted = SUBPROTOCOL if offered[:1] == [SUBPROTOCOL] else None
        scope = {**scope, "user": user, "accepted_subprotocol": accepted}
        await self.application(scope, receive, send)


def accepted_language(scope: Scope) -> str:
    """The first language of the handshake's ``Accept-Language`` that the platform speaks."""
    accepted = dict(scope.get("headers", [])).get(b"accept-language", b"").decode("latin-1")
    for part in accepted.split(","):
        tag = part.partition(";")[0].strip()
        if tag:
            try:
                return translation.get_supported_language_variant(tag)
            except LookupError:
                continue
    return settings.LANGUAGE_CODE


def _user_of(scope: Scope) -> User | None:
    headers = dict(scope.get("headers", []))
    scheme, _sep, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return user_of_token(token.strip())
    offered = scope.get("subprotocols", [])
    if len(offered) >= 2 and offered[0] == SUBPROTOCOL:
        return user_of_token(offered[1])
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if ticket := query.get("ticket", [""])[0]:
        user_id = services.ticket_redeem(ticket=ticket)
        return User.objects.filter(pk=user_id, is_active=True).first() if user_id else None
    return None


def refusal(scope: Scope, *, status: int, message: str) -> list[dict[str, Any]]:
    """The ASGI messages that answer a handshake with an HTTP status and the envelope."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        return [{"type": "websocket.close", "code": 4000 + status}]
    body = json.dumps({"code": status, "message": message, "data": None}, ensure_ascii=False)
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    if status == 429:
        headers.append((b"retry-after", b"5"))
    return [
        {"type": "websocket.http.response.start", "status": status, "headers": headers},
        {"type": "websocket.http.response.body", "body": body.encode()},
    ]
