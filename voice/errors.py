"""The one error family of every provider: recogniser, synthesiser, language model."""

from typing import Literal

Reason = Literal[
    "auth",  # the key was refused
    "rate_limited",  # 429, or a quota is spent
    "bad_request",  # the provider will not take this input, whoever asks again
    "refused",  # a content filter of the provider
    "timeout",  # no answer, or no further answer, within the stage's deadline
    "unavailable",  # connection failed, 5xx, weights missing
    "incomplete",  # the stream broke off after it had begun
]

RETRYABLE: frozenset[Reason] = frozenset({"rate_limited", "timeout", "unavailable"})


class ProviderError(Exception):
    """A provider failed.

    The adapter decides once, here, whether asking again (or asking another provider)
    can help; wrappers only look at ``retryable``. ``str(error)`` is for logs and never
    holds a key; what a person reads is worded by the protocol adapters.

    Args:
        message: What happened, in English, without secrets.
        provider: The registry name of the provider.
        reason: The kind of failure.
        status: The provider's HTTP status, where there was one.
        retry_after: Seconds the provider asked to wait, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        reason: Reason,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.reason: Reason = reason
        self.status = status
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later or elsewhere."""
        return self.reason in RETRYABLE
