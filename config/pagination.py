"""Pages as the contract gives them: total, list, page, pages, has_more."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

DEFAULT_SIZE = 10
MAXIMUM_SIZE = 100


def _positive(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name)
    if value is None:
        return default
    # Nine digits are more pages than any database holds, and fit its integers.
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) > 0):
        reason = _("%(name)s 必须是正整数") % {"name": name}
        raise ValidationError(ErrorDetail(reason, code="worded"))
    return int(value)


class PagePagination(BasePagination):
    """``?page=&page_size=``; a page past the end is empty, not an error.

    What has ``counted`` (an int) besides slices is not asked for ``count()``.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.page = _positive(request, "page", 1)
        size = _positive(request, "page_size", DEFAULT_SIZE)
        if size > MAXIMUM_SIZE:
            reason = _("page_size 不能超过 %(maximum)d") % {"maximum": MAXIMUM_SIZE}
            raise ValidationError(ErrorDetail(reason, code="worded"))
        counted = getattr(queryset, "counted", None)
        self.total: int = queryset.count() if counted is None else counted
        self.pages = -(-self.total // size)
        start = (self.page - 1) * size
        return list(queryset[start : start + size]) if start < self.total else []

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "total": self.total,
                "list": data,
                "page": self.page,
                "pages": self.pages,
                "has_more": self.page < self.pages,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What drf-spectacular shows."""
        whole = {"type": "integer"}
        return {
            "type": "object",
            "required": ["total", "list", "page", "pages", "has_more"],
            "properties": {
                "total": whole,
                "list": schema,
                "page": whole,
                "pages": whole,
                "has_more": {"type": "boolean"},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "default": default, **bound},
            }
            for name, default, bound in (
                ("page", 1, {}),
                ("page_size", DEFAULT_SIZE, {"maximum": MAXIMUM_SIZE}),
            )
        ]
