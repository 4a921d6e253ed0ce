"""The web page: one template, whose screens are the browser's business (``static/js``)."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import TemplateView

_SCRIPTS = Path(settings.BASE_DIR) / "static" / "js"
# Not modules of the page: one runs before the first paint, the others in the audio thread.
_APART = {"early.js", "capture-worklet.js", "player-worklet.js"}


def script_modules() -> list[str]:
    """Paths below ``static/`` of the page's ES modules.

    The template names them all to the browser at once; found one by one through their
    imports they would cost a round trip each level.
    """
    return [
        f"js/{file.relative_to(_SCRIPTS).as_posix()}"
        for file in sorted(_SCRIPTS.rglob("*.js"))
        if file.name not in _APART
    ]


# Scripts and styles are files of ours; samples of voices may come from their vendors.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob: https:; media-src 'self' blob: https:; "
    "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


class PageView(TemplateView):
    """``/``: the same for everybody; it holds no data of any user."""

    template_name = "index.html"
    extra_context = {"modules": script_modules()}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().get(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = _POLICY
        return response


urlpatterns = [path("", PageView.as_view(), name="page")]
