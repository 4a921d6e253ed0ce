"""What every speech synthesiser is: text in, PCM out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SynthesizerCapabilities:
    """What the pipeline may rely on.

    Attributes:
        sample_rate: Hz of the PCM that comes out, whatever the voice.
        streaming: The first bytes come before the whole text is synthesised.
        max_characters: The longest text of one call.
        incremental: Registry names of the providers whose voices take text while it is
            written; see `IncrementalSynthesizer`.
    """

    sample_rate: int
    streaming: bool
    max_characters: int
    incremental: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class VoiceRef:
    """A voice as one provider knows it.

    Attributes:
        provider: Registry name of the provider that speaks it.
        name: The provider's own name of the voice (``zf_xiaoxiao``, ``alloy``).
        language: What the voice speaks best: ``zh``, ``en``, of some vendors ``ja`` or others.
    """

    provider: str
    name: str
    language: str = "zh"


@runtime_checkable
class Synthesizer(Protocol):
    """Text to speech."""

    name: str
    capabilities: SynthesizerCapabilities

    def synthesize(self, text: str, *, voice: VoiceRef, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Speak one segment of text.

        Args:
            text: Speakable text: no markup, at most ``max_characters``.
            voice: One of this provider's voices.
            speed: 0.5 to 2.0; 1.0 is the voice's own pace.

        Yields:
            PCM16 little endian mono at ``capabilities.sample_rate``, as it becomes
            available, in pieces of any even length.

        Raises:
            ProviderError: The synthesiser failed. Closing the iterator (``aclose``)
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


@dataclass(frozen=True, slots=True)
class SentenceBegins:
    """The audio that follows speaks ``text``, until the next of these."""

    text: str


@runtime_checkable
class IncrementalSynthesizer(Synthesizer, Protocol):
    """Text to speech that takes text while it is written, and speaks it in one breath.

    What one provider's voices can is told by ``capabilities.incremental``.
    """

    def synthesize_stream(
        self, texts: AsyncIterator[str], *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes | SentenceBegins]:
        """Speak segments as they come in.

        A segment is spoken as soon as it comes: none is held back for the next one. The
        time until the first one is used to connect.

        Args:
            texts: Speakable segments, in order, each at most ``max_characters``; its end is
                the end of the utterance. Closed when the iterator is.
            voice: One of this provider's voices.
            speed: 0.5 to 2.0; 1.0 is the voice's own pace.

        Yields:
            PCM as `Synthesizer.synthesize` does, and before the first of it for each
            sentence a `SentenceBegins`. Their texts, joined, are what was handed in.

        Raises:
            ProviderError: The synthesiser failed. Closing the iterator (``aclose``)
                stops the work and closes the provider's connection.
        """
        ...
