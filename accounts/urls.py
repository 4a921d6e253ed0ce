from django.urls import URLPattern, path

from accounts.api import AuthViewSet
from accounts.keys_api import KeyViewSet
from accounts.usage_api import UsageView


def _route(name: str) -> URLPattern:
    """A path with the permissions and throttles that the action's decorator names."""
    method = getattr(AuthViewSet, name)
    view = AuthViewSet.as_view(dict(method.mapping), **method.kwargs)
    return path(f"auth/{method.url_path}", view)


urlpatterns = [
    *(_route(name) for name in ("register", "login", "refresh", "logout", "me", "ws_ticket")),
    path("keys", KeyViewSet.as_view({"get": "list", "post": "create"})),
    path("keys/<int:key_id>", KeyViewSet.as_view({"patch": "update", "delete": "destroy"})),
    path("usage", UsageView.as_view()),
]
