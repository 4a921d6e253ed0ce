"""Circuit breakers: who is asked, who is passed over, who is tried again.

After M. Nygard, "Release It!" (2007), ch. 5, with one rule of our own: what a probe may find
out for nothing (that a server answers and takes the key) does not prove that it can do its
work. So a probe that succeeds only ends the rest, and one real request decides.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal
from weakref import WeakSet

from voice.attempts import Capability
from voice.errors import ProviderError

State = Literal["closed", "half_open", "open"]
Probe = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)

_SEVERITY: tuple[State, ...] = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Rests:
    """How long a failing provider is passed over. In seconds, but ``breaks``.

    Attributes:
        first: After a failure, if the provider names no longer time itself.
        longest: Each rest is twice the one before, up to this. A provider that refuses the
            key, or has nothing left to bill, begins with it.
        probe: How long a probe may take.
        breaks: Answers broken off in a row that count as a failure.
    """

    first: float = 15.0
    longest: float = 300.0
    probe: float = 5.0
    breaks: int = 3


class Breaker:
    """What one event loop knows of one provider.

    ``closed``: it is asked. ``open``: it is passed over, until its rest is over and its
    probe, where it has one, succeeds; a probe that fails begins a longer rest.
    ``half_open``: one request is let through and decides between the two.

    Every request is framed by ``begin`` and ``left``, with ``succeeded`` or ``failed``
    between them unless nothing can be said of the provider. All in one event loop.

    Args:
        capability: What the provider does.
        provider: Its registry name.
        rests: For how long.
        probe: Asks without cost whether it is there; raises ProviderError if not. None
            where there is no such way.
    """

    def __init__(
        self,
        capability: Capability,
        provider: str,
        rests: Rests | None = None,
        probe: Probe | None = None,
    ) -> None:
        self.capability: Capability = capability
        self.provider = provider
        self.state: State = "closed"
        self._rests = rests or Rests()
        self._probe = probe
        self._rest = 0.0
        self._breaks = 0
        self._trial = False
        self._recovering: asyncio.Task[None] | None = None
        with _lock:
            _breakers.add(self)

    @property
    def admits(self) -> bool:
        """Whether it may be asked now."""
        return self.state == "closed" or (self.state == "half_open" and not self._trial)

    @property
    def on_trial(self) -> bool:
        """Whether the request under way decides."""
        return self.state == "half_open"

    def begin(self) -> None:
        """A request begins."""
        self._trial = self.state == "half_open"

    def left(self) -> None:
        """A request is over, or nobody waits for it any more."""
        self._trial = False

    def succeeded(self) -> None:
        """It did what it was asked."""
        self._breaks, self._rest = 0, 0.0
        if self.state != "closed":
            log.warning("%s provider %s is back", self.capability, self.provider)
            self.state = "closed"
        self.close()

    def failed(self, error: ProviderError) -> None:
        """It did not, and was given up for this request.

        Args:
            error: Why. One that says nothing of the provider's health changes nothing.
        """
        if error.reason == "incomplete":
            self._breaks += 1
            if self._breaks < self._rests.breaks and self.state == "closed":
                return
        elif not error.elsewhere:
            return
        if self.state == "open":
            return  # asked for want of a better one; its rest goes on
        self._open(error)

    def close(self) -> None:
        """Stop waiting for the provider's return."""
        if self._recovering is not None:
            self._recovering.cancel()
            self._recovering = None

    def _open(self, error: ProviderError) -> None:
        rests = self._rests
        if error.disabling:
            rest = rests.longest
            log.error("%s provider %s is switched off: %s", self.capability, self.provider, error)
        else:
            rest = min(max(rests.first, 2 * self._rest, error.retry_after or 0.0), rests.longest)
            log.warning(
                "%s provider %s failed (%s), asked again in %g s: %s",
                *(self.capability, self.provider, error.reason, rest, error),
            )
        self.state, self._rest, self._breaks = "open", rest, 0
        self.close()
        self._recovering = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(self._rest)
            if await self._answers():
                break
            self._rest = min(2 * self._rest, self._rests.longest)
        self.state = "half_open"

    async def _answers(self) -> bool:
        if self._probe is None:
            return True
        try:
            async with asyncio.timeout(self._rests.probe):
                await self._probe()
        except (ProviderError, TimeoutError) as error:
            log.info("%s provider %s is still away: %s", self.capability, self.provider, error)
            return False
        except Exception:  # a probe that breaks must not keep its provider away for good
            log.exception("the probe of %s provider %s broke", self.capability, self.provider)
        return True


_breakers: WeakSet[Breaker] = WeakSet()
_lock = Lock()


def breaker_states() -> dict[tuple[Capability, str], State]:
    """The breakers of this process, by capability and provider.

    Where event loops disagree the worse state is told. May be called from any thread.
    """
    with _lock:
        known = list(_breakers)
    worst: dict[tuple[Capability, str], State] = {}
    for breaker in known:
        key = breaker.capability, breaker.provider
        worst[key] = max(worst.get(key, "closed"), breaker.state, key=_SEVERITY.index)
    return worst
