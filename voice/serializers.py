"""What ``/api/voiceTypes`` answers."""

from typing import Any

from rest_framework import serializers


class VoiceTypeSerializer(serializers.Serializer[Any]):
    voice_type = serializers.CharField()
    voice_name = serializers.CharField()
    category = serializers.CharField(help_text="中文, 英文, 双语音色 or a vendor's own word")
    sample_url = serializers.URLField()
