from django.urls import path

from chat.api import ConversationViewSet, GreetingView

urlpatterns = [
    path("role/<int:role_id>/greeting", GreetingView.as_view()),
    path("conversations", ConversationViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "conversations/<int:pk>",
        ConversationViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
    ),
    path("conversations/<int:pk>/messages", ConversationViewSet.as_view({"get": "messages"})),
]
