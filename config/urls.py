"""Where every path leads."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from config.health import HealthView
from voice.serving import serve as serve_sample
from voice.serving import serve_speech

handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"

urlpatterns = [
    path("api/", include("accounts.urls")),
    path("api/", include("voice.urls")),
    path("api/", include("roles.urls")),
    path("api/", include("chat.urls")),
    path("api/health", csrf_exempt(HealthView.as_view()), name="health"),
    path("api/", include("config.docs")),
    path("", include("config.openai")),
    path("", include("config.pages")),
    path("", include("uploads.urls")),
    re_path(r"^samples/(?P<digest>[0-9a-f]{32})\.mp3$", serve_sample, name="voice-sample"),
    re_path(r"^speech/(?P<digest>[0-9a-f]{64})\.flac$", serve_speech, name="kept-speech"),
    path("admin/", admin.site.urls),
]
