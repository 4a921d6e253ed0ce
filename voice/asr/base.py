"""What every speech recogniser is: audio in, transcripts out."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

# The one format in which audio reaches a recogniser: PCM16 little endian, mono.
SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class RecognizerCapabilities:
    """What the pipeline may rely on.

    Attributes:
        streaming: Partial transcripts come while the audio still flows in.
        max_seconds: The longest utterance taken, in seconds.
    """

    streaming: bool
    max_seconds: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an utterance; ``start`` and ``end`` in seconds from its beginning."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood so far; ``is_final`` is true for the last one of an utterance.

    An empty final text means that no speech was heard. A final one may say in ``segments``
    when its parts were spoken, in order; empty where the recogniser does not tell.
    """

    text: str
    is_final: bool
    language: str = ""
    segments: tuple[Segment, ...] = ()


@runtime_checkable
class Recognizer(Protocol):
    """Speech to text."""

    name: str
    capabilities: RecognizerCapabilities

    def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """Recognise one utterance.

        Args:
            audio: PCM16 mono at 16 000 Hz, in pieces of any even length; its end is the
                end of the utterance.
            language: A hint, ``zh`` or ``en``; empty lets the recogniser decide.

        Yields:
            Transcripts, each replacing the one before; exactly one, the last, is final.

        Raises:
            ProviderError: The recogniser failed. Closing the iterator (``aclose``)
                stops the work and closes the provider's connection.
        """
        ...

    async def warm(self) -> None:
        """Load what the first use would wait for (a local model); may do nothing.

        Raises:
            ProviderError: It cannot be had, ``unavailable``.
        """
        ...

    async def aclose(self) -> None:
        """Release connections and models; further use is an error."""
        ...
