"""What is below ``/v1``: OpenAI's protocol, on the event loop from the first byte to the last.

Along Django's chain a request would cross between the loop and a thread a dozen times, and
a stream would be handed on through a thread piece by piece.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import URLPattern, path, resolve

from accounts.openai_http import is_openai, unknown
from chat.completions_endpoint import create_completion
from chat.models_endpoint import get_model, list_models
from realtime.client_secrets import (
    create_beta_session,
    create_beta_transcription_session,
    create_client_secret,
    only_socket,
)
from voice.speech_endpoint import create_speech
from voice.transcription_endpoint import create_transcription

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def _realtime_paths() -> list[URLPattern]:
    if not settings.REALTIME_ENABLED:
        return []
    return [
        path("v1/realtime", only_socket),
        path("v1/realtime/client_secrets", create_client_secret),
        path("v1/realtime/sessions", create_beta_session),
        path("v1/realtime/transcription_sessions", create_beta_transcription_session),
    ]


urlpatterns = [
    path("v1/models", list_models),
    path("v1/models/<path:name>", get_model),
    path("v1/chat/completions", create_completion),
    path("v1/audio/speech", create_speech),
    path("v1/audio/transcriptions", create_transcription),
    *_realtime_paths(),
    path("v1", unknown),
    path("v1/", unknown),
    path("v1/<path:path>", unknown),
]


class OpenAIMiddleware:
    """Takes what is below ``/v1`` out of the chain; all else goes on along it.

    Of the middleware behind it a request with a key needs two, and those two never wait:
    the redirect to HTTPS with its headers, and the check of the host's name.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        chain: Any = get_response
        self._layers = (SecurityMiddleware(chain), CommonMiddleware(chain))
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_openai(request.path):
            return await self.get_response(request)
        for layer in self._layers:
            early: HttpResponseBase | None = layer.process_request(request)
            if early is not None:
                return early
        view, args, kwargs = request.resolver_match = resolve(request.path_info)
        response: Any = await view(request, *args, **kwargs)
        for layer in reversed(self._layers):
            response = layer.process_response(request, response)
        return cast(HttpResponseBase, response)
