"""``/api/voiceTypes``."""

from django.conf import settings
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from voice import catalogue
from voice.serializers import VoiceTypeSerializer


class VoiceTypesView(APIView):
    """The voices on offer."""

    authentication_classes = []  # open to all: a stale token must not turn into a 401
    permission_classes = [AllowAny]

    @extend_schema(
        summary=gettext_lazy("声音列表"), responses=VoiceTypeSerializer(many=True), auth=[]
    )
    def get(self, request: Request) -> Response:
        base = settings.PUBLIC_BASE_URL or request.build_absolute_uri("/").rstrip("/")
        return Response(
            [
                {
                    "voice_type": entry.voice_type,
                    "voice_name": entry.voice_name,
                    "category": entry.category,
                    "sample_url": base + entry.sample_url
                    if entry.sample_url.startswith("/")
                    else entry.sample_url,
                }
                for entry in catalogue.enabled()
            ]
        )
