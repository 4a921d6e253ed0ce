"""``POST /api/upload_voice``: parse, call, render."""

import logging
from typing import cast

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.throttling import UploadThrottle
from uploads import services
from uploads.sources import clip_error_message
from voice.audio.decode import AudioError
from voice.storage import StorageError

logger = logging.getLogger(__name__)


class TooLarge(APIException):
    status_code = 413


class StorageUnavailable(APIException):
    status_code = 503


class UploadVoiceView(APIView):
    """Takes one audio file. Its success, alone in the API, has no envelope."""

    bare = True
    parser_classes = [MultiPartParser]
    renderer_classes = [JSONRenderer]
    throttle_classes = [UploadThrottle]

    @extend_schema(
        summary=gettext_lazy("上传语音"),
        request={
            "multipart/form-data": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
        responses={
            200: inline_serializer(
                "UploadedVoice",
                {
                    "message": serializers.CharField(),
                    "filename": serializers.CharField(help_text="As the client named it."),
                    "url": serializers.CharField(help_text="Relative to the platform's address."),
                },
            ),
            503: None,
        },
    )
    def post(self, request: Request) -> Response:
        file = _only_file(request)
        try:
            stored = services.upload_accept(owner=cast(User, request.user), file=file)
        except AudioError as error:
            message = clip_error_message("decode", error.reason)
            if error.reason == "too_large":
                raise TooLarge(ErrorDetail(message, code="worded")) from error
            raise _invalid(message) from error
        except StorageError as error:
            logger.exception("an upload could not be stored")
            raise StorageUnavailable from error
        return Response(
            {"message": _("文件上传成功"), "filename": stored.filename, "url": stored.path}
        )


def _only_file(request: Request) -> UploadedFile[bytes]:
    try:
        files: list[UploadedFile[bytes]] = request.FILES.getlist("file")
    except ParseError as error:
        raise _invalid(_("请求体不是有效的 multipart 表单")) from error
    except RequestDataTooBig as error:
        raise TooLarge from error
    except SuspiciousOperation as error:  # more fields or files than a form may have
        raise _invalid(_("表单的字段过多")) from error
    if not files:
        raise _invalid(_("缺少文件字段 file"))
    if len(files) > 1:
        raise _invalid(_("一次只能上传一个文件"))
    return files[0]


def _invalid(message: str) -> ValidationError:
    return ValidationError(ErrorDetail(message, code="worded"))
