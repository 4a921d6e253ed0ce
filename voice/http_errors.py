"""What the answers of providers over HTTP mean when they are no success."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from voice.errors import Reason

# How the content filters of OpenAI, Azure, DashScope and Qiniu name themselves.
_FILTERS = (
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "datainspectionfailed",
    "content_moderation",
    "sensitive",
)
# How OpenAI, DashScope, DeepSeek and Qiniu say that nothing is left to pay with.
_BILLING = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "arrearage",
    "insufficient balance",
    "free quota",
)
# SiliconFlow's code for a model that it does not have, with a status of 400.
_NO_SUCH_MODEL = frozenset({"20012", "model_not_found"})


def reason_of(status: int, code: str | None = None, message: str = "") -> Reason:
    """The meaning of an HTTP status and of the error envelope's code."""
    text = f"{code} {message if code is None else ''}".lower()
    if status in (400, 403, 422, 451) and any(name in text for name in _FILTERS):
        return "refused"
    if status in (400, 403, 429) and any(name in text for name in _BILLING):
        return "billing"
    if code in _NO_SUCH_MODEL:
        return "unavailable"  # as with 404: another server may have it
    match status:
        case 401 | 403:
            return "auth"
        case 402:
            return "billing"
        case 429:
            return "rate_limited"
        case 408 | 504:
            return "timeout"
        case 400 | 405 | 411 | 413 | 414 | 415 | 422 | 451:
            return "bad_request"
        case _:  # 5xx; 404 as well: this server lacks the model, another one may have it
            return "unavailable"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header in either of its forms, or its finer variant.

    Args:
        headers: Of the answer; names in lower case must find them.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
