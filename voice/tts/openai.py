"""Synthesis by an OpenAI-compatible ``/v1/audio/speech``."""

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import openai
from openai import AsyncAPIResponse

from voice.audio.codecs import AudioError
from voice.audio.tempo import TempoChanger
from voice.errors import ProviderError
from voice.openai_client import (
    ERRORS,
    open_client,
    probe_client,
    provider_error,
    refused_fields,
    warm_client,
)
from voice.openai_servers import GENERIC, SpeechRow
from voice.registry import CONNECT_TIMEOUT, READ_TIMEOUT
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.pcm_decoding import AnyDecoder
from voice.tts.splitting import split_text

_SAMPLE_RATE = 24_000
_MOST_CHARACTERS = 4_096

log = logging.getLogger(__name__)


class OpenAISynthesizer:
    """Hands on audio as it comes.

    Text that is longer than the server takes goes in several requests, one after the other.
    Fields and formats that the server refuses are left out from then on; a speed that it does
    not take is made here.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        model: The server's name of the model.
        row: What the server can do.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without a byte after which the answer counts as lost.
        name: Registry name, for errors.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        row: SpeechRow | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        name: str = "openai",
    ) -> None:
        self.name = name
        self._model = model
        self._row = row or GENERIC.speech or SpeechRow()
        self._formats = self._row.formats
        self._refused: frozenset[str] = frozenset()
        self._proven: frozenset[str] = frozenset()  # fields of requests that were taken
        self.capabilities = SynthesizerCapabilities(
            sample_rate=_SAMPLE_RATE,
            streaming=self._row.streaming,
            max_characters=max(_MOST_CHARACTERS, self._row.max_characters),
        )
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
        begun = False
        try:
            for part in split_text(text, self._row.max_characters):
                async with aclosing(self._spoken(part, voice.name, speed)) as pieces:
                    async for pcm in pieces:
                        begun = True
                        yield pcm
        except ERRORS as error:
            raise provider_error(error, provider=self.name, begun=begun) from error
        except AudioError as error:
            raise self._failure(f"sent no audio but {error}", begun) from error
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

    async def _spoken(self, text: str, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """The audio of one request."""
        async with contextlib.AsyncExitStack() as stack:
            response, sent = await self._open(stack, text, voice, speed)
            raw_rate = self._row.sample_rate if self._formats[0] == "pcm" else 0
            decoder = AnyDecoder(_SAMPLE_RATE, raw_rate)
            here = speed != 1.0 and "speed" not in sent
            tempo = TempoChanger(_SAMPLE_RATE, speed) if here else None
            async for piece in response.iter_bytes():
                pcm = decoder.feed(piece)
                if pcm := tempo.feed(pcm) if tempo else pcm:
                    yield pcm
            pcm = decoder.finish()
            if pcm := tempo.feed(pcm) + tempo.flush() if tempo else pcm:
                yield pcm

    async def _open(
        self, stack: contextlib.AsyncExitStack, text: str, voice: str, speed: float
    ) -> tuple[AsyncAPIResponse[Any], frozenset[str]]:
        """Make the request, and again without what the server refuses; with the fields sent."""
        optional = self._optional(speed)
        formats, refused = self._formats, self._refused
        while True:
            fields = {name: value for name, value in optional.items() if name not in refused}
            request = self._client.audio.speech.with_streaming_response.create(
                input=text,
                model=self._model,
                voice=self._voice(voice),
                response_format=formats[0],
                extra_body=fields or None,
            )
            try:
                response: AsyncAPIResponse[Any] = await stack.enter_async_context(request)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                told = f"{error.param} {error.message} {error.body}"
                without = refused_fields(error, fields, self._proven)
                if "response_format" in told and len(formats) > 1:
                    formats = formats[1:]
                elif without:
                    refused |= without
                    if "sample_rate" in without:  # nobody knows the rate of raw samples now
                        formats = tuple(each for each in formats if each != "pcm") or formats
                else:
                    raise
            else:
                if (formats, refused) != (self._formats, self._refused):
                    log.warning(
                        "%s takes %s without %s", self.name, formats[0], ", ".join(refused) or "-"
                    )
                self._formats, self._refused = formats, refused
                self._proven |= fields.keys()
                return response, frozenset(fields)

    def _optional(self, speed: float) -> dict[str, object]:
        """The fields that a server may do without."""
        fields = dict(self._row.extra_body)
        if self._row.asks_sample_rate:
            fields["sample_rate"] = _SAMPLE_RATE
        if self._row.speed and speed != 1.0:
            fields["speed"] = speed
        return fields

    def _voice(self, name: str) -> str:
        return name if ":" in name else self._row.voice.format(model=self._model, voice=name)

    def _failure(self, message: str, begun: bool) -> ProviderError:
        return ProviderError(
            f"{self.name} {message}",
            provider=self.name,
            reason="incomplete" if begun else "unavailable",
        )
