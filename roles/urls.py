from django.urls import path

from roles.api import RoleViewSet

urlpatterns = [
    path("role/add", RoleViewSet.as_view({"post": "create"})),
    path("role/list", RoleViewSet.as_view({"get": "list"})),
    path("role/user/<int:user_id>", RoleViewSet.as_view({"get": "of_user"})),
    path(
        "role/<int:role_id>",
        RoleViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
    ),
]
