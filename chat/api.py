"""``/api/conversations…``: parse, call, render."""

from typing import Any, cast

from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from accounts.models import User
from chat import selectors, services
from chat.greetings import NoGreeting, NotSpoken, greeting_path
from chat.models import Conversation
from chat.serializers import (
    ConversationSerializer,
    GreetingSerializer,
    MessageSerializer,
    MessagesQuerySerializer,
    MessagesSerializer,
    NewConversationSerializer,
    StartedConversationSerializer,
)
from roles.models import Role


class ConversationViewSet(GenericViewSet[Conversation]):
    """A user's conversations and what was said in them."""

    serializer_class = ConversationSerializer
    queryset = Conversation.objects.none()
    success_messages = {"destroy": gettext_lazy("对话删除成功")}

    def _user(self) -> User:
        return cast(User, self.request.user)

    def _conversation(self, pk: int) -> Conversation:
        found = selectors.conversation_of(user=self._user(), conversation_id=pk)
        if found is None:
            raise Http404(_("对话不存在"))
        return found

    @extend_schema(
        summary=gettext_lazy("对话列表"),
        parameters=[OpenApiParameter("role_id", int, description="Those with this role alone.")],
    )
    def list(self, request: Request) -> Response:
        """One's own conversations, the last active first."""
        role_id = None
        if "role_id" in request.query_params:
            query = NewConversationSerializer(data=request.query_params)
            query.is_valid(raise_exception=True)
            role_id = query.validated_data["role_id"]
        found = selectors.conversations_of(user=self._user(), role_id=role_id)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(ConversationSerializer(page, many=True).data)

    @extend_schema(
        summary=gettext_lazy("新建对话"),
        request=NewConversationSerializer,
        responses={200: StartedConversationSerializer, 404: None},
    )
    def create(self, request: Request) -> Response:
        """A new conversation with a role, opened by its greeting."""
        body = NewConversationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        role = Role.objects.present().filter(pk=body.validated_data["role_id"]).first()
        if role is None:
            raise Http404(_("角色不存在"))
        conversation = services.conversation_start(user=self._user(), role=role)
        messages, _more = selectors.messages_page(conversation=conversation, before=None, limit=1)
        return Response(
            {
                "id": conversation.pk,
                "role_id": role.pk,
                "messages": MessageSerializer(messages, many=True).data,
            }
        )

    @extend_schema(summary=gettext_lazy("对话详情"))
    def retrieve(self, request: Request, pk: int) -> Response:
        """One conversation."""
        return Response(ConversationSerializer(self._conversation(pk)).data)

    @extend_schema(summary=gettext_lazy("删除对话"), responses=None)
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a conversation with all that was said in it, audio included."""
        services.conversation_delete(conversation=self._conversation(pk))
        return Response(None)

    @extend_schema(
        summary=gettext_lazy("对话消息"),
        parameters=[MessagesQuerySerializer],
        responses=MessagesSerializer,
    )
    def messages(self, request: Request, pk: int) -> Response:
        """The newest messages (before an id), oldest first."""
        query = MessagesQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        fields: dict[str, Any] = query.validated_data
        rows, more = selectors.messages_page(
            conversation=self._conversation(pk), before=fields.get("before"), limit=fields["limit"]
        )
        return Response({"list": MessageSerializer(rows, many=True).data, "has_more": more})


class SpeechUnavailable(APIException):
    status_code = 503


class GreetingView(APIView):
    """A role's greeting, spoken."""

    @extend_schema(
        summary=gettext_lazy("开场白的语音"),
        responses={200: GreetingSerializer, 404: None, 503: None},
    )
    def get(self, request: Request, role_id: int) -> Response:
        """Where it is; ``url`` is null while it is being spoken, so ask again in a moment."""
        try:
            return Response({"url": greeting_path(role_id=role_id)})
        except NoGreeting as error:
            raise Http404(_("该角色没有开场白")) from error
        except NotSpoken as error:
            raise SpeechUnavailable(ErrorDetail(_("语音合成不可用"), code="worded")) from error
