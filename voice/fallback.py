"""Ask the next provider when one fails: the policy that all three kinds share."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

from prometheus_client import Counter

from voice.attempts import Attempt, Capability, Outcome, tell
from voice.breaker import Breaker, Rests
from voice.errors import ProviderError
from voice.limits import Limit, LimitReached


class Provider(Protocol):
    """What the three kinds of provider have in common."""

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Probed(Protocol):
    """A provider that can be asked for nothing whether it is there."""

    async def probe(self) -> None:
        """Find out without cost whether the provider can be reached and takes the key.

        Raises:
            ProviderError: It cannot, or does not.
        """
        ...


T = TypeVar("T")
P = TypeVar("P", bound=Provider)

log = logging.getLogger(__name__)

_limited = Counter(
    "liyuan_provider_limited",
    "Requests that found no place within the limit of a provider",
    ["capability", "provider"],
)


@dataclass(frozen=True, slots=True)
class Policy:
    """When to ask again, and when to ask somebody else. All in seconds but ``attempts``.

    Attributes:
        attempts: Requests to one provider before it counts as failing. One that let the
            time run out is not asked twice.
        pause: Before asking it again where it names no time itself.
        longest_wait: A provider that asks for a longer pause than this is left at once; so
            is one whose limit leaves no place for so long.
        patience: For the first item, all providers and attempts together. Each has an equal
            share of what is left of it.
        rests: How long a failing provider is passed over.
        unhurried: Providers that compute in this process. They are busy, never silent, so
            patience does not hold for them.
        limits: What may be asked of a provider at once and a second, by name.
    """

    attempts: int = 2
    pause: float = 0.1
    longest_wait: float = 1.0
    patience: float = 4.5
    rests: Rests = field(default_factory=Rests)
    unhurried: frozenset[str] = frozenset({"local", "understudy"})
    limits: Mapping[str, Limit] = field(default_factory=dict)


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
        self._breakers = {
            name: Breaker(
                capability,
                name,
                policy.rests,
                provider.probe if isinstance(provider, Probed) else None,
            )
            for name, provider in providers.items()
        }

    async def run(
        self,
        begin: Callable[[str, P], AsyncIterator[T] | None],
        *,
        first: str = "",
        hurry: bool = True,
        more: float = 0.0,
        units: Callable[[], Mapping[str, float]] = dict,
    ) -> AsyncIterator[T]:
        """The items of the first provider that gives any.

        Once an item was handed on, nobody else is asked: the failure is raised as it is.
        So is one that no other provider can help with. Closing the iterator closes the
        provider's.

        Args:
            begin: Starts the work at a provider, given its name; None where it cannot do it.
            first: The provider to prefer in this case.
            hurry: Whether ``Policy.patience`` holds.
            more: Seconds on top of it, for much work.
            units: What a request has come to when it ends; see ``Attempt.units``.

        Raises:
            ProviderError: The last one, when all have failed.
        """
        until = time.monotonic() + self._policy.patience + more if hurry else math.inf
        pending = deque(self._in_order(first))
        attempt = 1
        failure: ProviderError | None = None
        while pending:
            name = pending[0]
            items = begin(name, self.providers[name])
            if items is None:
                pending.popleft()
                continue
            breaker = self._breakers[name]
            again: float | None = None
            begun = False
            breaker.begin()
            try:
                request = self._request(name, items, self._share(pending, until), units)
                async with aclosing(request) as open_items:
                    async for item in open_items:
                        begun = True
                        yield item
            except LimitReached:
                _limited.labels(self._capability, name).inc()
                failure = ProviderError(
                    f"as much is asked of {name} as may be", provider=name, reason="rate_limited"
                )
            except ProviderError as error:
                failure = error
                last = begun or not error.elsewhere
                # One request on trial decides at once, if somebody else can do its work.
                if not last and not (breaker.on_trial and len(pending) > 1):
                    again = self._wait(error, attempt, until)
                if again is None:
                    breaker.failed(error)
                if last:
                    raise
            else:
                breaker.succeeded()
                return
            finally:
                breaker.left()
            if again is not None:
                await asyncio.sleep(again)
                attempt += 1
                continue
            pending.popleft()
            attempt = 1
        raise failure or ProviderError(
            f"none of {', '.join(self.providers)} can do it",
            provider=next(iter(self.providers)),
            reason="bad_request",
        )

    async def _request(
        self,
        name: str,
        items: AsyncIterator[T],
        patience: float | None,
        units: Callable[[], Mapping[str, float]],
    ) -> AsyncGenerator[T, None]:
        """The items of one request to one provider; its end is told, whichever way it ends.

        Raises LimitReached where it may not even begin.
        """
        outcome: Outcome = "cancelled"
        first: float | None = None
        async with self._place(name):
            started = time.monotonic()
            try:
                # Providers are async generators; closing them closes their connections.
                async with aclosing(cast(AsyncGenerator[T, None], items)) as open_items:
                    while (item := await _next(open_items, patience, name)) is not None:
                        patience = None
                        if first is None:
                            first = time.monotonic() - started
                        yield item
                outcome = "ok"
            except ProviderError as error:
                outcome = error.reason
                raise
            finally:
                took = time.monotonic() - started
                tell(Attempt(self._capability, name, outcome, first, took, units()))

    async def warm(self) -> None:
        """Warm all of them; one that cannot be had is logged, and asked again when needed."""
        for name, provider in self.providers.items():
            try:
                await provider.warm()
            except ProviderError as error:
                log.warning("%s is not ready: %s", name, error)

    async def aclose(self) -> None:
        """Close all providers, whichever of them fail to."""
        for breaker in self._breakers.values():
            breaker.close()
        closing = (provider.aclose() for provider in self.providers.values())
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _in_order(self, first: str) -> list[str]:
        """Those that may be asked, the preferred first; all of them, where none may."""
        names = sorted(self.providers, key=lambda name: name != first)
        return [name for name in names if self._breakers[name].admits] or names

    def _place(self, name: str) -> AbstractAsyncContextManager[None]:
        limit = self._policy.limits.get(name)
        return limit.place(self._policy.longest_wait) if limit else nullcontext()

    def _share(self, pending: Collection[str], until: float) -> float | None:
        """Seconds that the first of ``pending`` has to its first item; None for any time."""
        unhurried = self._policy.unhurried
        if next(iter(pending)) in unhurried or until == math.inf:
            return None
        hurried = sum(name not in unhurried for name in pending)
        return max(0.0, until - time.monotonic()) / hurried

    def _wait(self, error: ProviderError, attempt: int, until: float) -> float | None:
        """Seconds to wait before the same provider is asked again; None to leave it."""
        if attempt >= self._policy.attempts or not error.retryable or error.reason == "timeout":
            return None
        wait = self._policy.pause if error.retry_after is None else error.retry_after
        longest = min(self._policy.longest_wait, until - time.monotonic())
        return wait if wait <= longest else None


async def _next(items: AsyncGenerator[T, None], patience: float | None, name: str) -> T | None:
    """The next item within ``patience`` seconds; None at the end."""
    try:
        async with asyncio.timeout(patience) as limit:
            return await anext(items, None)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProviderError(
            f"{name} gave nothing within {patience:.1f} s", provider=name, reason="timeout"
        ) from error
