"""Ask the next provider when one fails: the policy that all three kinds share."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from voice.attempts import Attempt, Capability, Outcome, tell
from voice.errors import ProviderError


class Provider(Protocol):
    """What the three kinds of provider have in common."""

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


T = TypeVar("T")
P = TypeVar("P", bound=Provider)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """When to ask again, and when to ask somebody else. All in seconds but ``attempts``.

    Attributes:
        attempts: Requests to one provider before it counts as failing. One that let the
            time run out is not asked twice.
        pause: Before asking it again where it names no time itself.
        longest_wait: A provider that asks for a longer pause than this is left at once.
        patience: For the first item, as long as there is somebody else to ask.
        rest: How long a failing provider is passed over, if it names no longer time.
    """

    attempts: int = 2
    pause: float = 0.1
    longest_wait: float = 1.0
    patience: float = 8.0
    rest: float = 15.0


class Chain(Generic[P]):
    """Providers in order of preference, and the memory of which of them fail.

    Args:
        capability: What they do, for the attempts that are told.
        providers: By registry name, the preferred first.
        policy: When to ask again.

    Raises:
        ValueError: There are none.
    """

    def __init__(self, capability: Capability, providers: Mapping[str, P], policy: Policy) -> None:
        if not providers:
            raise ValueError("a chain needs a provider")
        self._capability: Capability = capability
        self.providers = dict(providers)
        self._policy = policy
        self._resting_until: dict[str, float] = {}

    async def run(
        self,
        begin: Callable[[str, P], AsyncIterator[T] | None],
        *,
        first: str = "",
        hurry: bool = True,
        units: Callable[[], Mapping[str, float]] = dict,
    ) -> AsyncIterator[T]:
        """The items of the first provider that gives any.

        Once an item was handed on, nobody else is asked: the failure is raised as it is.
        So is one that is not retryable. Closing the iterator closes the provider's.

        Args:
            begin: Starts the work at a provider, given its name; None where it cannot do it.
            first: The provider to prefer in this case.
            hurry: Whether ``Policy.patience`` holds.
            units: What a request has come to when it ends; see ``Attempt.units``.

        Raises:
            ProviderError: The last one, when all have failed.
        """
        pending = deque(sorted(self._awake(), key=lambda name: name != first))
        attempt = 1
        failure: ProviderError | None = None
        while pending:
            name = pending[0]
            items = begin(name, self.providers[name])
            if items is None:
                pending.popleft()
                continue
            patience = self._policy.patience if hurry and len(pending) > 1 else None
            outcome: Outcome = "cancelled"
            started, first_item = time.monotonic(), None
            try:
                # Providers are async generators; closing them closes their connections.
                async with aclosing(cast(AsyncGenerator[T, None], items)) as open_items:
                    while (item := await _next(open_items, patience, name)) is not None:
                        patience = None
                        if first_item is None:
                            first_item = time.monotonic() - started
                        yield item
                outcome = "ok"
            except ProviderError as error:
                outcome = error.reason
                if first_item is not None or not error.retryable:
                    raise
                failure = error
            else:
                self._resting_until.pop(name, None)
                return
            finally:
                took = time.monotonic() - started
                tell(Attempt(self._capability, name, outcome, first_item, took, units()))
            wait = self._wait(failure, attempt)
            if wait is not None:
                await asyncio.sleep(wait)
                attempt += 1
                continue
            rest = max(self._policy.rest, failure.retry_after or 0.0)
            self._resting_until[name] = time.monotonic() + rest
            pending.popleft()
            attempt = 1
            log.warning("provider %s failed (%s): %s", name, failure.reason, failure)
        raise failure or ProviderError(
            f"none of {', '.join(self.providers)} can do it",
            provider=next(iter(self.providers)),
            reason="bad_request",
        )

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        for name, provider in self.providers.items():
            try:
                await provider.warm()
            except ProviderError as error:
                log.warning("%s is not ready: %s", name, error)

    async def aclose(self) -> None:
        """Close all providers, whichever of them fail to."""
        closing = (provider.aclose() for provider in self.providers.values())
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _awake(self) -> list[str]:
        """Those that did not fail lately; all of them, where all did."""
        now = time.monotonic()
        awake = [name for name in self.providers if self._resting_until.get(name, 0.0) <= now]
        return awake or list(self.providers)

    def _wait(self, error: ProviderError, attempt: int) -> float | None:
        """Seconds to wait before the same provider is asked again; None to leave it."""
        if attempt >= self._policy.attempts or error.reason == "timeout":
            return None
        wait = self._policy.pause if error.retry_after is None else error.retry_after
        return wait if wait <= self._policy.longest_wait else None


async def _next(items: AsyncGenerator[T, None], patience: float | None, name: str) -> T | None:
    """The next item within ``patience`` seconds; None at the end."""
    try:
        async with asyncio.timeout(patience) as limit:
            return await anext(items, None)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProviderError(
            f"{name} gave nothing within {patience} s", provider=name, reason="timeout"
        ) from error
