"""The JSON parser of every endpoint: bounded, and never a 500."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.utils.json import strict_constant


class BodyTooLarge(APIException):
    """More than DATA_UPLOAD_MAX_MEMORY_SIZE bytes."""

    status_code = 413


class BoundedJSONParser(BaseParser):
    """Reads JSON in UTF-8 (RFC 8259 knows no other), at most the size limit of it.

    REST framework's parser would read any amount, take whatever codec the client names and
    let a deeply nested body end in a RecursionError.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return json.loads(body.decode("utf-8-sig"), parse_constant=strict_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError(str(error)) from error
