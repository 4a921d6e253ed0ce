"""``/api/auth/*``: parse, call, render."""

from typing import Any, cast

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import AuthenticationFailed, ErrorDetail, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet
from rest_framework_simplejwt.exceptions import TokenError

from accounts import services
from accounts.models import User
from accounts.serializers import (
    CredentialsSerializer,
    RefreshSerializer,
    RegisterSerializer,
    SessionSerializer,
    TicketSerializer,
    TokensSerializer,
    UserSerializer,
)
from accounts.throttling import LoginThrottle, RegisterThrottle


class AuthViewSet(GenericViewSet[User]):
    """Registration, login, refresh, logout, me, socket tickets."""

    serializer_class = CredentialsSerializer

    def _input(self, serializer_class: type[Any], request: Request) -> dict[str, Any]:
        serializer = serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        return cast(dict[str, Any], serializer.validated_data)

    def _session(self, user: User) -> Response:
        tokens = services.tokens_issue(user=user)
        return Response(
            {
                "access": tokens.access,
                "refresh": tokens.refresh,
                "user": UserSerializer(user).data,
            }
        )

    @extend_schema(
        summary=gettext_lazy("注册"),
        request=RegisterSerializer,
        responses=SessionSerializer,
        auth=[],
    )
    @action(
        detail=False,
        methods=["post"],
        authentication_classes=[],
        permission_classes=[AllowAny],
        throttle_classes=[RegisterThrottle],
    )
    def register(self, request: Request) -> Response:
        """A new user, logged in at once."""
        fields = self._input(RegisterSerializer, request)
        try:
            user = services.user_register(**fields)
        except services.NameTaken as error:
            raise ValidationError(ErrorDetail(_("用户名已被使用"), code="worded")) from error
        return self._session(user)

    @extend_schema(
        summary=gettext_lazy("登录"),
        request=CredentialsSerializer,
        responses={200: SessionSerializer, 401: None},
        auth=[],
    )
    @action(
        detail=False,
        methods=["post"],
        authentication_classes=[],
        permission_classes=[AllowAny],
        throttle_classes=[LoginThrottle],
    )
    def login(self, request: Request) -> Response:
        """An access token for the requests, and a refresh token for the next ones."""
        fields = self._input(CredentialsSerializer, request)
        user = authenticate(request, **fields)
        if not isinstance(user, User):
            raise AuthenticationFailed(ErrorDetail(_("用户名或密码错误"), code="worded"))
        update_last_login(User, user)
        return self._session(user)

    @extend_schema(
        summary=gettext_lazy("换新令牌"),
        request=RefreshSerializer,
        responses={200: TokensSerializer, 401: None},
        auth=[],
    )
    @action(
        detail=False, methods=["post"], authentication_classes=[], permission_classes=[AllowAny]
    )
    def refresh(self, request: Request) -> Response:
        """A new pair for a refresh token, which is blacklisted by it."""
        fields = self._input(RefreshSerializer, request)
        try:
            tokens = services.tokens_refresh(**fields)
        except TokenError as error:
            raise AuthenticationFailed from error
        return Response({"access": tokens.access, "refresh": tokens.refresh})

    @extend_schema(summary=gettext_lazy("退出登录"), request=RefreshSerializer, responses=None)
    @action(detail=False, methods=["post"])
    def logout(self, request: Request) -> Response:
        """Ends this session; neither of its tokens is taken any more."""
        fields = self._input(RefreshSerializer, request)
        try:
            services.tokens_revoke(
                access=cast(Any, request.auth),
                refresh=fields["refresh"],
                user=cast(User, request.user),
            )
        except TokenError as error:
            reason = _("refresh 令牌无效")
            raise ValidationError(ErrorDetail(reason, code="worded")) from error
        return Response(None)

    @extend_schema(summary=gettext_lazy("当前用户"), responses=UserSerializer)
    @action(detail=False, methods=["get"])
    def me(self, request: Request) -> Response:
        """Whose token this is."""
        return Response(UserSerializer(cast(User, request.user)).data)

    @extend_schema(summary=gettext_lazy("WebSocket 票据"), request=None, responses=TicketSerializer)
    @action(detail=False, methods=["post"], url_path="ws-ticket")
    def ws_ticket(self, request: Request) -> Response:
        """A single-use ticket for ``?ticket=`` of a WebSocket address."""
        ticket = services.ticket_issue(user=cast(User, request.user))
        return Response({"ticket": ticket, "expires_in": services.TICKET_SECONDS})
