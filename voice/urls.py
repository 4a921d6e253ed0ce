from django.urls import path

from voice.api import VoiceTypesView

urlpatterns = [path("voiceTypes", VoiceTypesView.as_view())]
