"""The handshake of ``/v1/realtime``: what a client shows and asks for, and how it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts.credentials import Credential, credential_of, credential_of_cookie
from accounts.ephemeral_keys import PREFIX, EphemeralKey, ephemeral_key_find
from accounts.openai_http import ApiError, no_key
from accounts.sockets import Scope
from realtime.ids import new_id

SUBPROTOCOL = "realtime"
_KEY_PROTOCOL = "openai-insecure-api-key."
_LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client sent before the socket was opened.

    Attributes:
        headers: By name in lower case.
        subprotocols: As they were offered.
        query: Of the address; of a name that comes twice the first value.
    """

    headers: Mapping[str, str]
    subprotocols: tuple[str, ...]
    query: Mapping[str, str]

    @classmethod
    def of(cls, scope: Scope) -> "Handshake":
        """Read the scope of a socket."""
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope.get("headers", [])
        }
        query: dict[str, str] = {}
        for name, value in parse_qsl(scope.get("query_string", b"").decode("latin-1")):
            query.setdefault(name, value)
        return cls(headers, tuple(scope.get("subprotocols", [])), query)

    @property
    def accepted_subprotocol(self) -> str | None:
        """The one to answer with; never the one that carries a key."""
        return SUBPROTOCOL if SUBPROTOCOL in self.subprotocols else None

    def sign_in(self) -> EphemeralKey:
        """Who asks; for a thread of the database. The first thing that was shown counts.

        Returns:
            The credential, with an empty grant unless it is an ephemeral key.

        Raises:
            ApiError: 401: nothing was shown, or it lets nobody in.
        """
        raw = self._header_key() or self._subprotocol_key() or self._query_key()
        if raw.startswith(PREFIX):
            key = ephemeral_key_find(raw)
            if key is None:
                raise no_key(raw)
            return key
        credential = credential_of(raw) if raw else self._by_cookie()
        if credential is None:
            raise no_key(raw)
        return EphemeralKey(credential, {})

    def _header_key(self) -> str:
        scheme, _blank, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        return (self.headers.get("x-api-key") or self.headers.get("api-key") or "").strip()

    def _subprotocol_key(self) -> str:
        keys = (each for each in self.subprotocols if each.startswith(_KEY_PROTOCOL))
        return next(keys, "").removeprefix(_KEY_PROTOCOL)

    def _query_key(self) -> str:
        raw = self.query.get("api_key") or self.query.get("token") or ""
        if raw and not raw.startswith(PREFIX):
            message = "A key in the address must be an ephemeral one (ek_…): addresses are logged."
            raise no_key(raw, message)
        return raw

    def _by_cookie(self) -> Credential | None:
        """A browser sends its cookie whoever's page asks it to: the page must be our own."""
        session_key = parse_cookie(self.headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
        if not session_key or not self._is_own_page():
            return None
        return credential_of_cookie(session_key)

    def _is_own_page(self) -> bool:
        origin = self.headers.get("origin", "")
        if origin in settings.CSRF_TRUSTED_ORIGINS:
            return True
        host = self.headers.get("host", "")
        domain, _port = split_domain_port(host)
        if not validate_host(domain, settings.ALLOWED_HOSTS or _LOCAL_NAMES):
            return False
        page = urlsplit(origin)
        return page.scheme in ("http", "https") and page.netloc == host


def refusal(scope: Scope, error: ApiError) -> list[dict[str, Any]]:
    """The ASGI messages that answer a handshake with OpenAI's error object.

    A server that cannot answer with a status of its own (daphne) sends its 403.
    """
    if "websocket.http.response" not in scope.get("extensions", {}):
        return [{"type": "websocket.close", "code": 4000 + error.status}]
    response = error.response()
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.items()
    ]
    headers.append((b"x-request-id", new_id("req").encode()))
    return [
        {
            "type": "websocket.http.response.start",
            "status": error.status,
            "headers": headers,
        },
        {"type": "websocket.http.response.body", "body": response.content},
    ]
