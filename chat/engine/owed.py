"""Watches that text handed to a voice is spoken, while more of it is being written."""

import asyncio
from collections.abc import AsyncIterator

from voice.tts.base import SentenceBegins


class Owed:
    """How long a stream of speech may be silent: only while text waits to be spoken.

    Args:
        first: Seconds to the first audio.
        following: Seconds between two pieces of audio.
    """

    def __init__(self, first: float, following: float) -> None:
        self._patience = first
        self._following = following
        self._letters = 0  # handed over, and not begun yet
        self._limit: asyncio.Timeout | None = None

    async def noted(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        """The same texts; from the moment one is taken, its audio is owed."""
        async for text in texts:
            waited = self._letters > 0
            self._letters += _letters(text)
            if self._limit and not waited and not self._limit.expired():
                self._limit.reschedule(self._deadline())
            yield text

    async def next(
        self, items: AsyncIterator[bytes | SentenceBegins]
    ) -> bytes | SentenceBegins | None:
        """The next of ``items``; None at the end.

        Raises:
            TimeoutError: It was owed, and did not come in time.
        """
        try:
            async with asyncio.timeout_at(self._deadline()) as self._limit:
                item = await anext(items, None)
        finally:
            self._limit = None
        if isinstance(item, SentenceBegins):
            self._letters = max(0, self._letters - _letters(item.text))
        else:
            self._patience = self._following
        return item

    def _deadline(self) -> float | None:
        return asyncio.get_running_loop().time() + self._patience if self._letters else None


def _letters(text: str) -> int:
    """Spaces and marks may be put differently by whoever speaks."""
    return sum(letter.isalnum() for letter in text)
