from django.urls import URLPattern, path

from accounts.api import AuthViewSet


def _route(name: str) -> URLPattern:
    """A path with the permissions and throttles that the action's decorator names."""
    method = getattr(AuthViewSet, name)
    return path(method.url_path, AuthViewSet.as_view(dict(method.mapping), **method.kwargs))


urlpatterns = [
    _route(name) for name in ("register", "login", "refresh", "logout", "me", "ws_ticket")
]
