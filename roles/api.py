"""``/api/role/*``: parse, call, render."""

from typing import Any, cast

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.fields import worded
from accounts.models import User
from roles import selectors, services
from roles.models import Role
from roles.pages import Listing
from roles.serializers import (
    RoleCreated,
    RoleDetail,
    RoleItem,
    RoleListQuery,
    RoleSerializer,
)

_FLAGS = {"true": True, "false": False}


class RoleViewSet(GenericViewSet[Role]):
    """Roles: everybody reads all of them, each writes their own."""

    serializer_class = RoleSerializer
    queryset = Role.objects.none()
    success_messages = {
        "create": gettext_lazy("角色创建成功"),
        "update": gettext_lazy("角色更新成功"),
        "destroy": gettext_lazy("角色删除成功"),
    }

    def _user(self) -> User:
        return cast(User, self.request.user)

    def _page(self, listing: Listing) -> Response:
        page = self.paginate_queryset(cast(Any, listing))
        return self.get_paginated_response(page)

    @extend_schema(
        summary=gettext_lazy("角色列表"),
        parameters=[RoleListQuery],
        responses=RoleItem(many=True),
    )
    def list(self, request: Request) -> Response:
        """All roles, the newest first; presets alone in the operator's order."""
        query = RoleListQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        filters = query.validated_data
        return self._page(
            selectors.roles_list(
                search=filters["search"],
                preset=_FLAGS.get(filters.get("preset", "")),
                owner=self._user() if filters.get("mine") == "true" else None,
            )
        )

    @extend_schema(summary=gettext_lazy("某用户的角色"), responses=RoleItem(many=True))
    def of_user(self, request: Request, user_id: int) -> Response:
        """One user's roles, the newest first."""
        return self._page(selectors.roles_of_user(user_id=user_id))

    @extend_schema(summary=gettext_lazy("角色详情"), responses=RoleDetail)
    def retrieve(self, request: Request, role_id: int) -> Response:
        """Everything about one role."""
        return Response(selectors.as_item(selectors.role_get(role_id=role_id)))

    @extend_schema(summary=gettext_lazy("创建角色"), request=RoleSerializer, responses=RoleCreated)
    def create(self, request: Request) -> Response:
        """A new role of one's own."""
        body = RoleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        role = services.role_create(owner=self._user(), **body.validated_data)
        return Response({"role_id": role.pk})

    @extend_schema(
        summary=gettext_lazy("修改角色"),
        request=RoleSerializer(partial=True),
        responses={200: None, 403: None},
    )
    def update(self, request: Request, role_id: int) -> Response:
        """Change any subset of the fields of a role of one's own."""
        role = selectors.role_owned(role_id=role_id, owner=self._user())
        if role is None:
            raise PermissionDenied(worded(_("角色不存在或您无权更新此角色")))
        body = RoleSerializer(role, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        services.role_update(role=role, **body.validated_data)
        return Response(None)

    @extend_schema(summary=gettext_lazy("删除角色"), responses={200: None, 403: None})
    def destroy(self, request: Request, role_id: int) -> Response:
        """Take a role of one's own away; conversations with it stay readable."""
        role = selectors.role_owned(role_id=role_id, owner=self._user())
        if role is None:
            raise PermissionDenied(worded(_("角色不存在或您无权删除此角色")))
        services.role_delete(role=role)
        return Response(None)
