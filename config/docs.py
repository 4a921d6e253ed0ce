"""``/api/docs``: the REST and the socket interface, for people; ``/api/schema`` for machines.

Nothing on these pages comes from elsewhere, and no script or style stands in their HTML.
"""

import json
from functools import cache
from typing import Any, cast

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import translation
from django.utils.translation import gettext as _
from django.views import View
from django.views.generic import TemplateView
from drf_spectacular.generators import SchemaGenerator

from config import asyncapi
from config.envelope import default_message
from config.schema import enveloped

# Swagger UI draws its icons from data: addresses.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def add_health(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Describes ``/api/health``, a plain view that drf-spectacular does not see."""
    answers = {
        str(code): {
            "description": default_message(code),
            "content": {"application/json": {"schema": enveloped(_HEALTH, {"const": code})}},
        }
        for code in (200, 503)
    }
    operation = {
        "operationId": "health_retrieve",
        "summary": _("健康检查"),
        "description": "503 where the database, the broker or every worker is away.",
        "tags": ["config"],
        "responses": answers,
    }
    result["paths"]["/api/health"] = {"get": operation}
    return result


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_MS = {"type": "number", "description": "Milliseconds it took to answer."}
_SPEECH = _object(available=_FLAG, names={"type": "array", "items": _TEXT}, reason=_TEXT)
_HEALTH = _object(
    status={"enum": ["ok", "degraded", "down"]},
    version=_TEXT,
    mode={"enum": ["embedded", "scaled"]},
    database=_object(ok=_FLAG, ms=_MS),
    broker=_object(ok=_FLAG, ms=_MS),
    worker=_object(ok=_FLAG, count={"type": "integer"}),
    providers=_object(
        llm=_object(name=_TEXT, offline=_FLAG, model=_TEXT), asr=_SPEECH, tts=_SPEECH
    ),
)


@cache
def _openapi(language: str) -> bytes:
    """The OpenAPI description in a language, made when first asked for."""
    with translation.override(language):
        generator: Any = SchemaGenerator
        schema = generator().get_schema(request=None, public=True)
        return json.dumps(schema, cls=DjangoJSONEncoder, ensure_ascii=False).encode()


class SchemaView(View):
    """``/api/schema``: OpenAPI 3.1, its words in the language of ``Accept-Language``."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(_openapi(translation.get_language()), content_type="application/json")


class DocsView(TemplateView):
    """A page of the documentation, under a policy that lets nothing foreign in."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().get(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = _POLICY
        return response


class SocketsView(DocsView):
    """``/api/docs/sockets``; ``?lang=`` for another language than the browser's."""

    template_name = "docs/sockets.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wanted = request.GET.get("lang", "")
        language = wanted if wanted in dict(settings.LANGUAGES) else translation.get_language()
        with translation.override(language):
            response = cast(TemplateResponse, super().get(request, *args, **kwargs)).render()
        response.headers["Content-Language"] = language
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        words = {
            "title": _("WebSocket 接口"),
            "raw": _("AsyncAPI 原文"),
            "credentials": _("凭证"),
            "received": _("客户端发送"),
            "sent": _("服务器发送"),
            "handshake": _("握手的回答"),
            "close": _("关闭码"),
            "extension": _("扩展"),
            "optional": _("可选"),
            "field": _("字段"),
            "values": _("取值"),
            "meaning": _("含义"),
        }
        page = asyncapi.Page(chinese=translation.get_language() != "en")
        return super().get_context_data(words=words, page=page, **kwargs)


class AsyncApiView(View):
    """``/api/docs/sockets.yaml``: AsyncAPI 3.0."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = asyncapi.PATH.read_text(encoding="utf-8")
        return HttpResponse(text, content_type="application/yaml; charset=utf-8")


urlpatterns = [
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", DocsView.as_view(template_name="docs/rest.html"), name="docs"),
    path("docs/sockets", SocketsView.as_view(), name="docs-sockets"),
    path("docs/sockets.yaml", AsyncApiView.as_view(), name="asyncapi"),
]
