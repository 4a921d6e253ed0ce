"""``/api/keys``: parse, call, render. With a session's token alone: a key makes no keys."""

from typing import Any, cast

from django.conf import settings
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts import selectors, services
from accounts.fields import worded
from accounts.models import ApiKey, User
from accounts.serializers import KeyItem, KeySerializer, NewKeySerializer


class KeyViewSet(GenericViewSet[ApiKey]):
    """A user's own API keys."""

    serializer_class = KeyItem
    queryset = ApiKey.objects.none()
    pagination_class = None  # API_KEYS_PER_USER bounds them
    success_messages = {"destroy": gettext_lazy("API 密钥已吊销")}

    def _user(self) -> User:
        return cast(User, self.request.user)

    def _key(self, key_id: int) -> ApiKey:
        found = selectors.key_of(user=self._user(), key_id=key_id)
        if found is None:
            raise Http404(_("API 密钥不存在"))
        return found

    def _rendered(self, keys: Any, *, many: bool = False) -> Any:
        month = selectors.today().replace(day=1)
        context = {"spent": selectors.spent_by_key(user=self._user(), since=month)}
        return KeyItem(keys, many=many, context=context).data

    @extend_schema(summary=gettext_lazy("API 密钥列表"), responses=KeyItem(many=True))
    def list(self, request: Request) -> Response:
        """One's own keys, the newest first; those that were revoked are not there."""
        return Response(self._rendered(selectors.keys_of(user=self._user()), many=True))

    @extend_schema(
        summary=gettext_lazy("创建 API 密钥"), request=KeySerializer, responses=NewKeySerializer
    )
    def create(self, request: Request) -> Response:
        """A new key for programs that speak OpenAI's API, to be sent to ``/v1`` as bearer.

        The key itself is in this answer alone.
        """
        body = KeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            key, raw = services.key_create(user=self._user(), **body.validated_data)
        except services.TooManyKeys as error:
            reason = _("API 密钥最多 %(maximum)d 个") % {"maximum": settings.API_KEYS_PER_USER}
            raise ValidationError(worded(reason)) from error
        return Response({**self._rendered(key), "key": raw})

    @extend_schema(
        summary=gettext_lazy("修改 API 密钥"),
        request=KeySerializer(partial=True),
        responses=KeyItem,
    )
    def update(self, request: Request, key_id: int) -> Response:
        """Change any subset of a key's name, end and limits."""
        key = self._key(key_id)
        body = KeySerializer(key, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        services.key_update(key=key, **body.validated_data)
        return Response(self._rendered(key))

    @extend_schema(summary=gettext_lazy("吊销 API 密钥"), responses=None)
    def destroy(self, request: Request, key_id: int) -> Response:
        """Revoke a key for good: its next request is refused."""
        services.key_revoke(key=self._key(key_id))
        return Response(None)
