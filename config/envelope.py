"""The one form of every JSON answer under ``/api/``: ``{"code", "message", "data"}``."""

from collections.abc import Mapping
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer


def envelope(code: int, message: str, data: Any = None) -> dict[str, Any]:
    """The envelope itself."""
    return {"code": code, "message": message, "data": data}


def default_message(code: int) -> str:
    """The platform's words for a status."""
    return {
        200: "success",
        400: _("参数错误"),
        401: _("用户未认证"),
        403: _("没有权限"),
        404: _("资源不存在"),
        405: _("不支持的请求方法"),
        406: _("无法提供所要求的格式"),
        413: _("请求内容过大"),
        415: _("不支持的内容类型"),
        429: _("请求过于频繁，请稍后再试"),
        503: _("服务暂不可用"),
    }.get(code, _("服务器内部错误"))


def failure(code: int, message: str = "") -> JsonResponse:
    """An error answer from outside DRF (middleware, Django's own handlers)."""
    return JsonResponse(
        envelope(code, message or default_message(code)),
        status=code,
        json_dumps_params={"ensure_ascii": False},
    )


class EnvelopeRenderer(JSONRenderer):
    """Wraps a view's data, so that views and apps need to know nothing of the envelope.

    A view whose success carries another message than "success" names it by action:
    ``success_messages = {"create": _("角色创建成功")}``.
    """

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = renderer_context or {}
        response = context.get("response")
        if response is not None and not response.exception:
            view = context.get("view")
            messages = getattr(view, "success_messages", {})
            message = messages.get(getattr(view, "action", None) or "", "success")
            data = envelope(response.status_code, str(message), data)
        return super().render(data, accepted_media_type, renderer_context)
