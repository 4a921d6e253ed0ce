"""The bodies of ``/api/conversations…``."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat.failures import failure_text
from chat.models import Author, Conversation, Message, TurnState


class NewConversationSerializer(serializers.Serializer[Any]):
    role_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class MessagesQuerySerializer(serializers.Serializer[Any]):
    before = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50)


class RoleBriefSerializer(serializers.Serializer[Any]):
    """As much of a role as a list of conversations shows; a deleted one keeps its name."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    portrait = serializers.CharField()
    colors = serializers.JSONField()
    deleted = serializers.SerializerMethodField()

    def get_deleted(self, role: Any) -> bool:
        return role.deleted_at is not None


class LastMessageSerializer(serializers.Serializer[Any]):
    author = serializers.CharField(source="last_author")
    text = serializers.CharField(source="last_text")
    created_at = serializers.DateTimeField(source="last_at")


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    role = RoleBriefSerializer(read_only=True)
    last_message = serializers.SerializerMethodField()
    message_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Conversation
        fields = ("id", "role", "created_at", "active_at", "last_message", "message_count")

    @extend_schema_field(LastMessageSerializer(allow_null=True))
    def get_last_message(self, conversation: Any) -> dict[str, Any] | None:
        if not conversation.last_author:
            return None
        return dict(LastMessageSerializer(conversation).data)


class MessageSerializer(serializers.ModelSerializer[Message]):
    """A message with the state of its turn; needs ``audio`` and ``turn`` selected."""

    type = serializers.CharField(source="modality", read_only=True)
    audio_url = serializers.SerializerMethodField()
    client_id = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = (
            "id",
            "author",
            "type",
            "text",
            "audio_url",
            "created_at",
            "client_id",
            "status",
            "error",
        )

    def get_audio_url(self, message: Message) -> str:
        return message.audio.path if message.audio else ""

    def _turn(self, message: Message) -> Any:
        name = "turn" if message.author == Author.USER else "reply_of"
        return getattr(message, name, None)

    def get_client_id(self, message: Message) -> str:
        turn = self._turn(message)
        return turn.client_id if turn and message.author == Author.USER else ""

    @extend_schema_field(serializers.ChoiceField(choices=TurnState.values))
    def get_status(self, message: Message) -> str:
        turn = self._turn(message)
        return turn.state if turn else TurnState.COMPLETED.value

    def get_error(self, message: Message) -> str:
        turn = self._turn(message)
        return failure_text(turn.error) if turn and turn.error else ""


class StartedConversationSerializer(serializers.Serializer[Any]):
    """What making a conversation answers: the greeting is its first message."""

    id = serializers.IntegerField()
    role_id = serializers.IntegerField()
    messages = MessageSerializer(many=True)


class MessagesSerializer(serializers.Serializer[Any]):
    """A stretch of a conversation, oldest first."""

    list = MessageSerializer(many=True)
    has_more = serializers.BooleanField(help_text="Older ones precede.")


class GreetingSerializer(serializers.Serializer[Any]):
    """A spoken greeting."""

    url = serializers.CharField(
        allow_null=True, help_text="Of a FLAC file, relative to the platform's address."
    )
