"""Ephemeral keys: ``POST /v1/realtime/client_secrets``, and beta's two ways to the same."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.ephemeral_keys import ephemeral_key_issue
from accounts.openai_fields import Fields, json_fields, wrong_type
from accounts.openai_http import ApiError, endpoint
from chat.live_selectors import opening
from realtime.admission import (
    Grant,
    Kind,
    casting_of,
    checked,
    conversation_setup,
    transcription_setup,
)
from realtime.beta import beta_session, normalized_session

# How long a key lets in (seconds); beta's were for at once.
_LEAST, _USUAL, _MOST, _BETA = 10, 600, 7200, 60


@endpoint("POST")
async def create_client_secret(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """An ephemeral key, and the session that it opens."""
    fields = json_fields(request)
    session = _object(fields, "session")
    kind: Kind = "transcription" if session.get("type") == "transcription" else "realtime"
    seconds = _seconds(_object(fields, "expires_after"), _USUAL)
    grant = Grant(kind, session=session)
    key, shown = await in_database_thread(_issue, credential, grant, seconds)
    return _answer({**key, "session": shown})


@endpoint("POST")
async def create_beta_session(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """Beta's ``POST /v1/realtime/sessions``: the session, the key within it."""
    return await _beta(request, credential, "realtime")


@endpoint("POST")
async def create_beta_transcription_session(
    request: HttpRequest, credential: Credential
) -> HttpResponseBase:
    """Beta's ``POST /v1/realtime/transcription_sessions``."""
    return await _beta(request, credential, "transcription")


async def _beta(request: HttpRequest, credential: Credential, kind: Kind) -> HttpResponseBase:
    fields = json_fields(request)
    wanted = Fields(_object(fields, "client_secret"))
    # Where the time stands differs between releases of OpenAI's own client.
    expires = _object(wanted, "expires_after") or _object(wanted, "expires_at")
    session = dict(fields.all())
    session.pop("client_secret", None)
    session["type"] = kind
    seconds = _seconds(expires, _BETA)
    grant = Grant(kind, session=session, extensions=True)
    key, shown = await in_database_thread(_issue, credential, grant, seconds)
    return _answer({**beta_session(shown, settings.LLM_TEMPERATURE), "client_secret": key})


def _issue(
    credential: Credential, asked: Grant, seconds: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The key, and its session as GA shows it.

    Args:
        credential: Who makes it.
        asked: Its session as it came; the rest of it is found out here.
        seconds: How long it lets in.
    """
    session = normalized_session(asked.session)
    model = Fields(session).text("model", default="", longest=200)
    for name in ("type", "model"):
        session.pop(name, None)
    if asked.kind == "transcription":
        setup = transcription_setup(model, session)
    else:
        role = casting_of(model or "gpt-realtime", session).role
        found = opening(user=credential.user, role_id=role.pk)
        setup = conversation_setup(found, model or "gpt-realtime", session, ())
    setup = replace(setup, extensions=asked.extensions)
    config = checked(setup)
    locked = ["prompt"] if model or config.prompt else []
    if asked.kind == "realtime" and _names_voice(session):
        locked.append("voice")
    if config.max_tokens is not None:
        session["max_output_tokens"] = config.max_tokens  # 100.0 was as good
        locked.append("max_output_tokens")
    grant = replace(asked, model=model, session=session, locked=tuple(locked))
    value, expires_at = ephemeral_key_issue(
        credential=credential, grant=asdict(grant), seconds=seconds
    )
    return {"value": value, "expires_at": expires_at}, config.render(setup)


def _names_voice(session: Mapping[str, Any]) -> bool:
    """Whether a session that is valid asks for a voice, if only the character's own."""
    output = (session.get("audio") or {}).get("output") or {}
    return output.get("voice") is not None


def _object(fields: Fields, name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(name, "an object", value)
    return value


def _seconds(expires_after: Mapping[str, Any], usual: int) -> int:
    fields = Fields(expires_after)
    fields.choice("anchor", ("created_at",), default="created_at")
    return fields.integer("seconds", default=usual, least=_LEAST, most=_MOST)


def _answer(body: Mapping[str, Any]) -> HttpResponseBase:
    answer = JsonResponse(body, json_dumps_params={"ensure_ascii": False})
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def only_socket(request: HttpRequest) -> HttpResponseBase:
    """``/v1/realtime`` by plain HTTP."""
    error = ApiError(
        426,
        "This is a WebSocket: connect to it with one.",
        code="upgrade_required",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )
    return error.response()
