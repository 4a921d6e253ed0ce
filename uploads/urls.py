from django.urls import path, re_path

from uploads.api import UploadVoiceView
from uploads.serving import serve

urlpatterns = [
    path("api/upload_voice", UploadVoiceView.as_view(), name="upload-voice"),
    # Whatever the name: an unknown one gets this view's plain 404 in every mode.
    re_path(r"^uploads/(?P<name>(?s:.*))$", serve, name="upload"),
]
