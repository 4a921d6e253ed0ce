"""The one error family of every provider: recogniser, synthesiser, language model."""

from typing import Literal

Reason = Literal[
    "auth",  # the key was refused
    "billing",  # the account is in arrears, or its quota is spent
    "rate_limited",  # too many requests for now
    "bad_request",  # the provider will not take this input, whoever asks again
    "refused",  # a content filter of the provider
    "timeout",  # no answer, or no further answer, within the stage's deadline
    "unavailable",  # connection failed, 5xx, weights missing
    "incomplete",  # the stream broke off after it had begun
]

RETRYABLE: frozenset[Reason] = frozenset({"rate_limited", "timeout", "unavailable"})
DISABLING: frozenset[Reason] = frozenset({"auth", "billing"})


class ProviderError(Exception):
    """A provider failed.

    The adapter decides once, here, whether asking again or asking another provider can
    help; wrappers only look at ``retryable`` and ``elsewhere``. ``str(error)`` is for logs
    and never holds a key; what a person reads is worded by the protocol adapters.

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
        """Whether the same provider may do it if it is asked again."""
        return self.reason in RETRYABLE

    @property
    def disabling(self) -> bool:
        """Whether the provider can do nothing at all until its operator has seen to it."""
        return self.reason in DISABLING

    @property
    def elsewhere(self) -> bool:
        """Whether another provider may do what this one did not."""
        return self.retryable or self.disabling
