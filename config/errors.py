"""How errors leave the server: in the envelope, never as a traceback or HTML."""

import logging
import math
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts.openai_http import failure as openai_failure
from accounts.openai_http import is_openai
from config.envelope import default_message, envelope, failure

logger = logging.getLogger(__name__)


def _reasons(detail: Any, field: str = "") -> Iterator[str]:
    """The texts of a validation error, each with its field's name where it has one."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            known = name not in ("non_field_errors", "detail")
            yield from _reasons(inner, str(name) if known else field)
    elif isinstance(detail, (list, tuple)):
        for inner in detail:
            yield from _reasons(inner, field)
    else:
        text = str(detail).rstrip("。.")
        yield text if _is_worded(detail) or not field else f"{field}: {text}"


def _is_worded(detail: Any) -> bool:
    """Whether a message says by itself what it speaks of (``ErrorDetail`` code "worded")."""
    return getattr(detail, "code", "") == "worded"


def handle_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error becomes an envelope, none a traceback."""
    headers: dict[str, str] = {}
    if isinstance(error, Http404):
        code, message = 404, str(error) if error.args and isinstance(error.args[0], str) else ""
        message = message if message and not message.startswith("No ") else ""
    elif isinstance(error, PermissionDenied):
        code, message = 403, ""
    elif isinstance(error, exceptions.ValidationError):
        code = 400
        message = _("参数错误: %(reason)s") % {"reason": "; ".join(_reasons(error.detail))}
    elif isinstance(error, exceptions.ParseError):
        code, message = 400, _("参数错误: %(reason)s") % {"reason": _("请求体不是有效的 JSON")}
    elif isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        code, message = 401, _("用户未认证")
        if _is_worded(error.detail):
            message = str(error.detail)
        headers["WWW-Authenticate"] = getattr(error, "auth_header", 'Bearer realm="api"')
    elif isinstance(error, exceptions.APIException):
        code = error.status_code
        message = str(error.detail) if _is_worded(error.detail) else ""
        if wait := getattr(error, "wait", None):  # Throttled
            headers["Retry-After"] = str(math.ceil(wait))
    else:
        request = context.get("request")
        logger.exception("unhandled error", extra={"path": getattr(request, "path", "")})
        code, message = status.HTTP_500_INTERNAL_SERVER_ERROR, ""
    set_rollback()
    body = envelope(code, message or default_message(code))
    return Response(body, status=code, headers=headers or None)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler404``."""
    if is_openai(request.path):
        return openai_failure(404, method=request.method, path=request.path).response()
    return failure(404)


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: the traceback is in the log, not in the answer."""
    return openai_failure(500).response() if is_openai(request.path) else failure(500)
