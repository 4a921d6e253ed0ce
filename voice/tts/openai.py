"""Synthesis by an OpenAI-compatible ``/v1/audio/speech``."""

from collections.abc import AsyncIterator

import openai

from voice.audio.codecs import AudioError, Mp3Decoder
from voice.errors import ProviderError
from voice.openai_client import ERRORS, open_client, probe_client, provider_error, warm_client
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT, AudioFormat
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.pcm_decoding import PcmDecoder, PieceDecoder, WavDecoder

_SAMPLE_RATE = 24_000  # what the API's raw PCM always has


class OpenAISynthesizer:
    """Hands on audio as it comes.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        model: The server's name of the model.
        audio_format: What to ask for. ``pcm`` is spoken first; ``wav`` (16 bit, mono) and
            ``mp3`` are for servers that do not know it.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without a byte after which the answer counts as lost.
        name: Registry name, for errors.
    """

    capabilities = SynthesizerCapabilities(
        sample_rate=_SAMPLE_RATE, streaming=True, max_characters=4_096
    )

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        audio_format: AudioFormat = "pcm",
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "openai",
    ) -> None:
        self.name = name
        self._model = model
        self._audio_format: AudioFormat = audio_format
        self._client = open_client(
            base_url=base_url,
            api_key=api_key,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        """See `Synthesizer.synthesize`."""
        decoder, begun = self._decoder(), False
        try:
            async with self._client.audio.speech.with_streaming_response.create(
                input=text,
                model=self._model,
                voice=voice.name,
                response_format=self._audio_format,
                speed=openai.omit if speed == 1.0 else speed,
            ) as response:
                kind = response.headers.get("content-type", "")
                if kind.startswith(("text/", "application/json")):
                    raise self._failure(f"answered {kind} instead of audio", begun)
                async for piece in response.iter_bytes():
                    if pcm := decoder.feed(piece):
                        begun = True
                        yield pcm
            if pcm := decoder.finish():
                begun = True
                yield pcm
        except ERRORS as error:
            raise provider_error(error, provider=self.name, begun=begun) from error
        except AudioError as error:
            raise self._failure(f"sent no {self._audio_format}: {error}", begun) from error
        if not begun:
            raise self._failure("sent no audio", begun)

    async def warm(self) -> None:
        """Load this side of the connection; the server has the model."""
        await warm_client()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await probe_client(self._client, self.name)

    async def aclose(self) -> None:
        await self._client.close()

    def _decoder(self) -> PieceDecoder:
        if self._audio_format == "pcm":
            return PcmDecoder()
        return WavDecoder(_SAMPLE_RATE) if self._audio_format == "wav" else Mp3Decoder(_SAMPLE_RATE)

    def _failure(self, message: str, begun: bool) -> ProviderError:
        return ProviderError(
            f"{self.name} {message}",
            provider=self.name,
            reason="incomplete" if begun else "unavailable",
        )
