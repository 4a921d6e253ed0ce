"""Waiting until the service takes more."""

import asyncio
import random

from voice.dashscope.errors import DashScopeError

_STEP = 0.5
_TIMES = 3
_LONGEST = 4.0


class BackOff:
    """The pauses of one request that is refused for its rate: 0.5, 1 and 2 s, less a jitter.

    This is the only place where such a refusal is waited for. What is raised in the end asks
    for a longer pause than ``voice.fallback.Policy.longest_wait``, so that a chain turns to
    the next provider at once and does not multiply the attempts.
    """

    def __init__(self) -> None:
        self._times = 0

    async def wait(self, error: DashScopeError) -> None:
        """Pause, as long as the service asks for if it does.

        Raises:
            DashScopeError: It has been long enough, or the service asks for too long; this
                is ``error``, with the pause to take in ``retry_after``.
        """
        step = _STEP * 2**self._times
        asked = error.retry_after or 0.0
        if self._times == _TIMES or asked > _LONGEST:
            error.retry_after = max(step, asked)
            raise error
        self._times += 1
        # Half of it is chance: else all that were refused together come back together.
        await asyncio.sleep(max(step * random.uniform(0.5, 1.0), asked))  # noqa: S311
