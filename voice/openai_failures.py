"""How the failure of a provider is told below ``/v1``."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from accounts.openai_http import ApiError
from voice.errors import ProviderError, Reason

logger = structlog.get_logger(__name__)

# Our key, our network and our provider are not the caller's business beyond the status.
_ANSWERS: dict[Reason, tuple[int, str, str]] = {
    "auth": (502, "provider_error", "The provider refused the server's own credentials."),
    "billing": (502, "provider_error", "The provider refused the server's own account."),
    "rate_limited": (429, "rate_limit_exceeded", "The provider is busy: please try again later."),
    "bad_request": (400, "invalid_value", "The provider does not take this input."),
    "refused": (400, "content_policy_violation", "The provider's content filter refused this."),
    "timeout": (503, "provider_timeout", "The provider did not answer in time."),
    "unavailable": (503, "provider_unavailable", "The provider is not available at the moment."),
    "incomplete": (502, "provider_error", "The provider broke off its answer."),
}


def api_error(error: ProviderError) -> ApiError:
    """The answer to the client; the particulars are for the log."""
    status, code, message = _ANSWERS[error.reason]
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    return ApiError(status, message, code=code, headers=headers)


@contextmanager
def provider_failures() -> Iterator[None]:
    """Turn a provider's failure into the answer to the client."""
    try:
        yield
    except ProviderError as error:
        logger.warning("provider failed", provider=error.provider, why=str(error))
        raise api_error(error) from error
