"""``/api/voiceTypes``."""

from django.conf import settings
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from voice import catalogue, samples
from voice.serializers import VoiceTypeSerializer
from voice.speech import tts_names


class VoiceTypesView(APIView):
    """The voices on offer: those of the providers that are switched on."""

    authentication_classes = []  # open to all: a stale token must not turn into a 401
    permission_classes = [AllowAny]

    @extend_schema(
        summary=gettext_lazy("声音列表"), responses=VoiceTypeSerializer(many=True), auth=[]
    )
    def get(self, request: Request) -> Response:
        base = settings.PUBLIC_BASE_URL or request.build_absolute_uri("/").rstrip("/")
        providers = tts_names()
        voices = []
        for entry in catalogue.offered(providers):
            sample = samples.address(entry, providers)
            voices.append(
                {
                    "voice_type": entry.voice_type,
                    "voice_name": entry.voice_name,
                    "category": entry.category,
                    "sample_url": base + sample if sample.startswith("/") else sample,
                }
            )
        return Response(voices)
