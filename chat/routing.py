"""The sockets' paths."""

from django.urls import path

from chat.consumers import ChatConsumer, VoiceChatConsumer

websocket_urlpatterns = [
    path("api/ws/chat", ChatConsumer.as_asgi()),
    path("api/ws/voice_chat", VoiceChatConsumer.as_asgi()),
]
