"""Who is let in to a session, and with what: the handshake's questions, answered.

All of it is for a thread of the database.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from django.conf import settings

from accounts.credentials import Credential
from accounts.ephemeral_keys import EphemeralKey
from accounts.models import User
from accounts.openai_fields import missing, no_model, unsupported
from accounts.openai_http import ApiError, check_quota
from chat.live_selectors import Opening, opening
from chat.services import ConversationNotFound, RoleNotFound
from realtime.allowance import Allowance
from realtime.casting import (
    Casting,
    cast,
    character_of,
    is_listening_model,
    is_spoken_model,
    voice_names,
)
from realtime.character import Character
from realtime.config import SessionConfig
from realtime.errors import ProtocolError
from realtime.handshake import Handshake
from realtime.ids import new_id
from realtime.setup import Setup

Kind = Literal["realtime", "transcription"]

_PUBLIC_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_PLAIN_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
# Nobody answers in a session that only hears.
_NOBODY = Character(role_id=0, name="", language="zh", instructions="", voice="")


@dataclass(frozen=True, slots=True)
class Grant:
    """What an ephemeral key is for; of any other credential, nothing in particular.

    Attributes:
        kind: Of the session.
        model: As its maker named it; empty where that is left to whoever shows the key.
        session: Its defaults, as a ``session.update`` has them.
        extensions: See ``Setup``; the same for the next.
        locked: See there.
    """

    kind: Kind = "realtime"
    model: str = ""
    session: Mapping[str, Any] = field(default_factory=dict)
    extensions: bool = False
    locked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """All that a session begins with.

    Attributes:
        credential: Who asks.
        allowance: What they may still use.
        setup: Of the session.
        opening: Role and history; None where nobody answers.
    """

    credential: Credential
    allowance: Allowance
    setup: Setup
    opening: Opening | None


def admit(handshake: Handshake, shown: EphemeralKey) -> Admission:
    """Answer a handshake.

    Raises:
        ApiError: 400, 403, 404 or 429; see docs/realtime.md.
    """
    query, credential = handshake.query, shown.credential
    if query.get("call_id"):
        raise unsupported("call_id", "there are no calls over WebRTC or SIP here")
    if shown.grant and query.get("conversation"):
        # Numbers are guessed, and whoever shows such a key need not be who made it.
        message = "An ephemeral key goes on with a conversation by 'resume' alone."
        raise ApiError(403, message, code="conversation_not_allowed", param="conversation")
    grant = Grant(**shown.grant)
    kind: Kind = "transcription" if query.get("intent") == "transcription" else grant.kind
    if shown.grant and kind != grant.kind:
        message = "This key is for a session that answers, not for one that only hears."
        raise ApiError(403, message, code="intent_not_allowed", param="intent")
    check_quota(credential, ("seconds",) if kind == "transcription" else ("tokens",))
    asked = {"voice": query.get("voice", ""), "language": query.get("language", "")}
    session = _merged(_session_of(kind, **asked), grant.session)
    asked_model = query.get("model", "")
    if kind == "transcription":
        found = None
        setup = transcription_setup(grant.model or asked_model, session)
    else:
        found = _open(credential.user, _bound(asked_model, grant), session, query)
        setup = conversation_setup(found, asked_model or grant.model, session, grant.locked)
    setup = replace(setup, extensions=grant.extensions)
    checked(setup)
    allowance = Allowance(credential)
    allowance.look(())
    setup = replace(setup, rate_limits=allowance.rate_limits)
    return Admission(credential, allowance, setup, found)


def transcription_setup(model: str, session: Mapping[str, Any]) -> Setup:
    """The setup of a session that only hears. Raises ApiError (404) for no such model."""
    if model and not (is_listening_model(model) or is_spoken_model(model) or cast(model)):
        raise no_model(model)
    return Setup(
        session_id=new_id("sess"),
        conversation_id=new_id("conv"),
        model=model,
        character=_NOBODY,
        kind="transcription",
        session=session,
        begins_at=int(time.time()),
        max_seconds=settings.REALTIME_MAX_MINUTES * 60,
    )


def conversation_setup(
    found: Opening, model: str, session: Mapping[str, Any], locked: tuple[str, ...]
) -> Setup:
    """The setup of a session in which somebody answers."""
    return Setup(
        session_id=new_id("sess"),
        conversation_id=found.public_id,
        model=model or f"role:{found.role.pk}",
        character=character_of(found.role, found.user_name),
        session=session,
        locked=frozenset(locked),
        voices=voice_names(),
        begins_at=int(time.time()),
        max_seconds=settings.REALTIME_MAX_MINUTES * 60,
        lead_seconds=settings.REALTIME_LEAD_SECONDS,
        speculation=settings.REALTIME_SPECULATION,
        resumed=found.conversation_id is not None,
        default_max_tokens=settings.LLM_MAX_TOKENS,
    )


def checked(setup: Setup) -> SessionConfig:
    """How a session would begin. Raises ApiError (400) where its defaults will not do."""
    try:
        return SessionConfig.initial(setup)
    except ProtocolError as error:
        raise ApiError(400, str(error), code=error.code, param=error.param) from error


def casting_of(model: str, session: Mapping[str, Any]) -> Casting:
    """Who plays: the character that the session's prompt names, else the model's.

    Raises:
        ApiError: 404: nobody does.
    """
    prompt = session.get("prompt")
    named = prompt.get("id") if isinstance(prompt, Mapping) else None
    name = named if isinstance(named, str) and named else model
    casting = cast(name)
    if casting is None:
        raise no_model(name)
    return casting


def _bound(asked: str, grant: Grant) -> str:
    """What decides about the character: the name that the key is bound to, if it is to one.

    A client that names a model which anybody may play is content with that. Raises ApiError
    (403) where it names another character.
    """
    if not (asked and grant.model) or asked == grant.model:
        return asked or grant.model
    mine, its = cast(asked), cast(grant.model)
    if mine is None:
        raise no_model(asked)
    if mine.named and (its is None or mine.role.pk != its.role.pk):
        message = f"This key is bound to the model '{grant.model}'."
        raise ApiError(403, message, code="model_not_allowed", param="model")
    return grant.model


def _open(user: User, model: str, session: Mapping[str, Any], query: Mapping[str, str]) -> Opening:
    public_id, plain_id = query.get("resume", ""), query.get("conversation", "")
    resumed = bool(public_id or plain_id)
    role_id: int | None = None
    if model or session.get("prompt"):
        casting = casting_of(model, session)
        # A name that only stands in for a model says nothing of who it was.
        role_id = casting.role.pk if casting.named or not resumed else None
    elif not resumed:
        raise missing("model")
    if (public_id and not _PUBLIC_ID.fullmatch(public_id)) or (
        plain_id and not _PLAIN_ID.fullmatch(plain_id)
    ):
        raise _no_conversation(query)
    try:
        return opening(
            user=user,
            role_id=role_id,
            public_id=public_id,
            conversation_id=int(plain_id) if plain_id else None,
        )
    except ConversationNotFound as error:
        raise _no_conversation(query) from error
    except RoleNotFound as error:
        raise no_model(model) from error


def _no_conversation(query: Mapping[str, str]) -> ApiError:
    param = "conversation" if query.get("conversation") else "resume"
    message = f"The conversation '{query[param][:100]}' does not exist, or is with somebody else."
    return ApiError(404, message, code="conversation_not_found", param=param)


def _session_of(kind: Kind, *, voice: str, language: str) -> dict[str, Any]:
    """What the address asks for, as a ``session.update`` would have it."""
    audio: dict[str, Any] = {}
    if language:
        audio["input"] = {"transcription": {"language": language}}
    if voice and kind == "realtime":
        audio["output"] = {"voice": voice}
    return {"audio": audio} if audio else {}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[name] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return merged
