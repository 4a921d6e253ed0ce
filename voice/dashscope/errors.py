"""What the failures of DashScope mean.

Codes: https://help.aliyun.com/zh/model-studio/error-code. The service names one and the same
failure differently over the task protocol, its HTTP interface and the compatible mode, and
some only in the message; so all three are looked at here.
"""

import logging
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

from voice.errors import ProviderError, Reason

Kind = Literal[
    "auth",  # the key, or what it may use
    "billing",  # overdue, a quota is used up: lasts until somebody pays
    "rate",  # too much at once: over in a minute at most
    "content",  # the filter
    "passing",  # refused as wrong, but known to pass now and then (engine codes 411, 418)
    "markup",  # this voice or model speaks no SSML
    "caller",  # any other request that will not do
    "idle",  # 23 s without a message
    "no_speech",  # audio in which nobody speaks
    "timeout",  # no answer in time
    "server",  # the service or the way to it is broken
]

REASONS: dict[Kind, Reason] = {
    "auth": "auth",
    "billing": "billing",
    "rate": "rate_limited",
    "content": "refused",
    "passing": "bad_request",
    "markup": "bad_request",
    "caller": "bad_request",
    "idle": "unavailable",
    "no_speech": "bad_request",
    "timeout": "timeout",
    "server": "unavailable",
}

# The first that is found in "code: message" decides.
_SIGNS: tuple[tuple[Kind, str], ...] = (
    ("idle", r"timeout after 23 ?s|no (message|input)\w* .{0,20}23 ?s"),
    ("no_speech", r"NO_(INPUT|VALID)_AUDIO|UNSUPPORTED_FORMAT"),
    ("content", r"data_?inspection_?failed|content_filter|inappropriate content"),
    ("billing", r"Arrearage|OUT_OF_SERVICE|insufficient_quota|free .{0,20}quota .{0,20}exhausted"),
    ("billing", r"AllocationQuota\.FreeTierOnly|good standing"),
    ("rate", r"^Throttling|limit_requests|rate limit|rate increased too quickly|limit_burst_rate"),
    ("auth", r"Invalid_?Api_?Key|Incorrect API key|AccessDenied|access_denied|Unpurchased"),
    ("markup", r"SSML text is not supported|does not support SSML"),
    ("passing", r"^InvalidParameter.*\b(411|418)\b"),
    ("caller", r"^Invalid(Parameter|Request|URL|Schema)|^BadRequest|^Model\.?Not(Found|Exist)"),
    ("caller", r"model_not_found|Text request limit|ensure input text is valid|voice is invalid"),
    ("timeout", r"ResponseTimeout|RequestTimeOut"),
    ("server", r"InternalError|SystemError|ServiceUnavailable|ModelServingError|internal_error"),
)
_SIGNS_COMPILED = tuple((kind, re.compile(sign, re.IGNORECASE)) for kind, sign in _SIGNS)
_OUR_FAULT = {400, 404, 405, 411, 413, 414, 415, 422}


class DashScopeError(ProviderError):
    """A failure of DashScope.

    Args:
        message: What happened, in English; keys are taken out.
        kind: What it means.
        code: The service's own code, where it gave one.
        status: HTTP status, where there was one.
        retry_after: Seconds the service asked to wait.
        request_id: The service's name of the request.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        code: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(
            f"dashscope {re.sub(r'sk-[0-9A-Za-z*_-]{4,}', 'sk-…', message)}"
            + (f" [request {request_id}]" if request_id else ""),
            provider="dashscope",
            reason=REASONS[kind],
            status=status,
            retry_after=retry_after,
        )
        self.kind: Kind = kind
        self.code = code
        self.request_id = request_id

    @property
    def level(self) -> int:
        """Of the log: what stays until the operator does something is an error."""
        return logging.ERROR if self.kind in ("auth", "billing") else logging.WARNING

    def broke_off(self) -> "DashScopeError":
        """Make it say that part of the answer had been handed on before."""
        if self.kind in ("rate", "timeout", "idle", "server"):
            self.reason = "incomplete"
        return self


def kind_of(code: str, message: str = "", status: int | None = None) -> Kind:
    """The meaning of a code and message, and of an HTTP status where they tell nothing."""
    text = f"{code}: {message}"
    for kind, sign in _SIGNS_COMPILED:
        if sign.search(text):
            return kind
    match status:
        case 401 | 403:
            return "auth"
        case 402:
            return "billing"
        case 429:
            return "rate"
        case 408 | 504:
            return "timeout"
    return "caller" if status in _OUR_FAULT else "server"


def refusal(
    code: str,
    message: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str = "",
) -> DashScopeError:
    """The failure that the service answered with."""
    headers = headers or {}
    kind = kind_of(code, message, status)
    said = f"answered {status}" if status else "failed the task"
    # An answer to a wrong key may quote it.
    detail = f"{code}: {message[:300]}" if kind != "auth" else code
    return DashScopeError(
        f"{said}: {detail}".rstrip(": "),
        kind=kind,
        code=code,
        status=status,
        retry_after=retry_after_of(headers),
        request_id=request_id or headers.get("x-request-id", ""),
    )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header in either of its forms (RFC 9110, 10.2.3).

    Args:
        headers: By names in lower case, or in any case where the mapping takes any.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
