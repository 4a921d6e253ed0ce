"""Recognition by an OpenAI-compatible ``/v1/audio/transcriptions``."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator

import openai

from voice.asr.base import SAMPLE_RATE, RecognizerCapabilities, Transcript
from voice.audio.codecs import wav_bytes
from voice.errors import ProviderError
from voice.openai_client import (
    open_client,
    probe_client,
    provider_errors,
    refused_fields,
    warm_client,
)
from voice.openai_servers import GENERIC, TranscriptionRow
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT

_BYTES_A_SECOND = SAMPLE_RATE * 2
_LEAST_SECONDS = 0.1  # servers refuse less, and nobody says anything in it
# SenseVoice writes what it noticed before the text: <|zh|><|NEUTRAL|><|Speech|>
_MARKS = re.compile(r"<\|[^|<>]*\|>")


class OpenAIRecognizer:
    """Sends an utterance as one wav file when it has ended.

    Fields that the server refuses are left out from then on.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        model: The server's name of the model.
        row: What the server can do.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds to wait for the transcript.
        name: Registry name, for errors.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        row: TranscriptionRow | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "openai",
    ) -> None:
        self.name = name
        self._model = model
        self._row = row or GENERIC.transcription or TranscriptionRow()
        self._refused: frozenset[str] = frozenset()
        self._proven: frozenset[str] = frozenset()  # fields of requests that were taken
        self.capabilities = RecognizerCapabilities(
            streaming=False, max_seconds=self._row.max_seconds
        )
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
            if len(pcm) > self._row.max_seconds * _BYTES_A_SECOND:
                raise ProviderError(
                    f"more than {self._row.max_seconds:.0f} s of audio",
                    provider=self.name,
                    reason="bad_request",
                )
        if len(pcm) < _LEAST_SECONDS * _BYTES_A_SECOND:
            yield Transcript("", is_final=True, language=language)
            return
        with provider_errors(self.name):
            content = await self._ask(wav_bytes(bytes(pcm), SAMPLE_RATE), language)
        try:
            text = _MARKS.sub("", json.loads(content)["text"])
        except (ValueError, TypeError, KeyError) as error:
            raise ProviderError(
                f"{self.name} sent a transcript that cannot be read",
                provider=self.name,
                reason="unavailable",
            ) from error
        yield Transcript(text.strip(), is_final=True, language=language)

    async def _ask(self, wav: bytes, language: str) -> bytes:
        """Make the request, and again without the fields that the server refuses."""
        wanted = {"response_format": "json"} | ({"language": language} if language else {})
        refused = self._refused
        while True:
            fields = {
                name: value
                for name, value in wanted.items()
                if name in self._row.fields and name not in refused
            }
            try:
                answer = await self._client.audio.transcriptions.with_raw_response.create(
                    file=("speech.wav", wav, "audio/wav"), model=self._model, extra_body=fields
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                without = refused_fields(error, fields, self._proven)
                if not without:
                    raise
                refused |= without
            else:
                self._refused, self._proven = refused, self._proven | fields.keys()
                return answer.content

    async def warm(self) -> None:
        """Load this side of the connection; the server has the model."""
        await warm_client()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await probe_client(self._client, self.name)

    async def aclose(self) -> None:
        await self._client.close()
