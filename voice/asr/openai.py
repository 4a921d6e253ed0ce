"""Recognition by an OpenAI-compatible ``/v1/audio/transcriptions``."""

import json
from collections.abc import AsyncIterable, AsyncIterator

import openai

from voice.asr.base import SAMPLE_RATE, RecognizerCapabilities, Transcript
from voice.audio.codecs import wav_bytes
from voice.errors import ProviderError
from voice.openai_client import open_client, probe_client, provider_errors, warm_client
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT

_BYTES_A_SECOND = SAMPLE_RATE * 2
_LEAST_SECONDS = 0.1  # servers refuse less, and nobody says anything in it
_MOST_SECONDS = 780.0  # 25 MB of wav


class OpenAIRecognizer:
    """Sends an utterance as one wav file when it has ended.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        model: The server's name of the model.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds to wait for the transcript.
        name: Registry name, for errors.
    """

    capabilities = RecognizerCapabilities(streaming=False, max_seconds=_MOST_SECONDS)

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "openai",
    ) -> None:
        self.name = name
        self._model = model
        self._client = open_client(
            base_url=base_url,
            api_key=api_key,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """See `Recognizer.recognize`; gives the final transcript only."""
        pcm = bytearray()
        async for piece in audio:
            pcm += piece
            if len(pcm) > _MOST_SECONDS * _BYTES_A_SECOND:
                raise ProviderError(
                    f"more than {_MOST_SECONDS:.0f} s of audio",
                    provider=self.name,
                    reason="bad_request",
                )
        if len(pcm) < _LEAST_SECONDS * _BYTES_A_SECOND:
            yield Transcript("", is_final=True, language=language)
            return
        with provider_errors(self.name):
            answer = await self._client.audio.transcriptions.with_raw_response.create(
                file=("speech.wav", wav_bytes(bytes(pcm), SAMPLE_RATE), "audio/wav"),
                model=self._model,
                response_format="json",
                language=language or openai.omit,
            )
        try:
            text = "" + json.loads(answer.content)["text"]
        except (ValueError, TypeError, KeyError) as error:
            raise ProviderError(
                f"{self.name} sent a transcript that cannot be read",
                provider=self.name,
                reason="unavailable",
            ) from error
        yield Transcript(text.strip(), is_final=True, language=language)

    async def warm(self) -> None:
        """Load this side of the connection; the server has the model."""
        await warm_client()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await probe_client(self._client, self.name)

    async def aclose(self) -> None:
        await self._client.close()
