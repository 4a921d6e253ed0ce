"""``GET /v1/models``: what may be named as ``model``, the characters among it."""

import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.openai_fields import Fields, invalid, no_model
from accounts.openai_http import endpoint
from chat.completion_request import role_id_of
from roles.models import Role
from roles.selectors import role_find, roles_after
from voice.offered_models import speech_models, transcription_models

_PAGE, _LONGEST_PAGE = 200, 1000
# When models that have no date of their own were switched on.
_STARTED = int(time.time())


@endpoint("GET")
async def list_models(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """The models, then the characters in the order of their ids, a page of them.

    ``?after=role:<id>`` goes on behind that character, ``?limit=`` is the size of a page.
    OpenAI's own list has no pages: clients that know of none get the first.
    """
    fields = Fields(request.GET.dict(), typed=False)
    limit = fields.integer("limit", default=_PAGE, least=1, most=_LONGEST_PAGE)
    after = fields.text("after", default="")
    after_id = role_id_of(after)
    if after and after_id is None:
        raise invalid("after", "expected role:<id>")
    models, found = await in_database_thread(_page, after_id, limit)
    cards = [_card(name, owner) for name, owner in models.items()]
    cards += [_role_card(role) for role in found[:limit]]
    body = {
        "object": "list",
        "data": cards,
        "has_more": len(found) > limit,
        "last_id": cards[-1]["id"] if cards else None,
    }
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


@endpoint("GET")
async def get_model(request: HttpRequest, credential: Credential, /, name: str) -> HttpResponseBase:
    """One of them."""
    role_id = role_id_of(name)
    if role_id is None:
        models = await in_database_thread(_models)
        card = _card(name, models[name]) if name in models else None
    else:
        role = await in_database_thread(role_find, role_id=role_id)
        card = _role_card(role) if role else None
    if card is None:
        raise no_model(name)
    return JsonResponse(card, json_dumps_params={"ensure_ascii": False})


def _page(after: int | None, limit: int) -> tuple[Mapping[str, str], list[Role]]:
    return {} if after else _models(), roles_after(after=after or 0, limit=limit + 1)


def _models() -> dict[str, str]:
    """By name, who owns it."""
    writing = {settings.LLM_MODEL: "openai"} if settings.LLM_BASE_URL else {}
    speaking = {**transcription_models(), **speech_models()}
    return {**writing, **{name: owner or "liyuan" for name, owner in speaking.items()}}


def _card(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": owner}


def _role_card(role: Role) -> dict[str, Any]:
    owner = "liyuan" if role.owner_id is None else f"user-{role.owner_id}"
    card = _card(f"role:{role.pk}", owner)
    # ``name`` is ours: several clients show it in place of the id.
    return {**card, "created": int(role.created_at.timestamp()), "name": role.name}
