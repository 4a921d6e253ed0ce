"""Synthesis by CosyVoice, the voices of DashScope."""

import logging
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from voice.dashscope.config import DashScopeConfig
from voice.dashscope.errors import DashScopeError
from voice.dashscope.http_synthesis import HttpSynthesis
from voice.dashscope.messages import Parameters, synthesis
from voice.dashscope.pool import Pool
from voice.dashscope.synthesis import Synthesis
from voice.errors import ProviderError, Reason
from voice.tts import ssml
from voice.tts.base import SentenceBegins, SynthesizerCapabilities, VoiceRef
from voice.tts.pcm_decoding import PcmDecoder

log = logging.getLogger(__name__)

SAMPLE_RATE = 24_000
# The service takes 200 000 a task, and counts a Chinese character as two.
MAX_CHARACTERS = 100_000
_SHORT = 500
_LONGEST_MARKUP = 10_000  # one message
# Surrogates, private and unassigned characters, controls, pictures; and what joins these.
_UNSPOKEN = frozenset({"Cs", "Co", "Cn", "Cc", "Cf", "So", "Sk"})
_NEVER_MARKUP = frozenset({"cosyvoice-v1"})


class CosyVoiceSynthesizer:
    """Speaks over kept WebSocket connections, each text by the way that suits it.

    - markup (SSML) as one message, where the model and the voice read it, else what it says;
    - up to 500 characters by WebSocket or by one HTTP request, as configured;
    - longer texts, and those that are still being written, by WebSocket, piece by piece.

    A voice is named ``<model>/<voice>``: a voice belongs to a model, and fails with another.

    Args:
        config: Where the service is.
    """

    name = "dashscope"
    capabilities = SynthesizerCapabilities(
        sample_rate=SAMPLE_RATE,
        streaming=True,
        max_characters=MAX_CHARACTERS,
        incremental=frozenset({"dashscope"}),
    )

    def __init__(self, config: DashScopeConfig) -> None:
        self._pool = Pool(config, "tts")
        self._synthesis = Synthesis(self._pool, config.patience)
        self._http = HttpSynthesis(config)
        self._by_http = config.short_text == "http"

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        """See `Synthesizer.synthesize`. A text with nothing to pronounce is silent."""
        model, parameters = self._asked(voice, speed)
        if len(text) > MAX_CHARACTERS:
            raise self._error(f"the text has {len(text)} characters", "bad_request")
        markup = ssml.parse(text)
        if markup and self._reads(markup, model):
            begun = False
            try:
                async with aclosing(self._spoken_markup(model, markup.ssml, parameters)) as pieces:
                    async for pcm in pieces:
                        begun = True
                        yield pcm
            except DashScopeError as error:
                if begun or error.kind != "markup":
                    raise
            else:
                return
        plain = _speakable(markup.plain if markup else text)
        if not plain:
            return
        async with aclosing(self._spoken(model, plain, parameters)) as pieces:
            async for pcm in pieces:
                yield pcm

    async def synthesize_stream(
        self, texts: AsyncIterator[str], *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes | SentenceBegins]:
        """See `IncrementalSynthesizer.synthesize_stream`."""
        model, parameters = self._asked(voice, speed)
        spoken = self._synthesis.speak(synthesis(model, parameters), _speakables(texts))
        async with aclosing(cast(AsyncGenerator[str | bytes, None], spoken)) as items:
            decoder = PcmDecoder()
            async for item in items:
                if isinstance(item, str):
                    yield SentenceBegins(item)
                elif pcm := decoder.feed(item):
                    yield pcm

    async def warm(self) -> None:
        """Have a connection at hand; a key that is refused is noticed here.

        Raises:
            ProviderError: There is none to be had.
        """
        await self._pool.warm()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self._pool.probe()

    async def aclose(self) -> None:
        await self._pool.aclose()
        await self._http.aclose()

    async def _spoken(
        self, model: str, text: str, parameters: Parameters
    ) -> AsyncGenerator[bytes, None]:
        """Plain text, by the way that its length suggests."""
        if self._by_http and len(text) <= _SHORT:
            begun = False
            by_http = _whole_samples(self._http.speak(model, text, parameters))
            try:
                async with aclosing(by_http) as samples:
                    async for pcm in samples:
                        begun = True
                        yield pcm
            except DashScopeError as error:
                if begun or "url error" not in str(error).lower():
                    raise
                # What a region answers where these voices are not to be had by HTTP.
                self._by_http = False
                log.warning("short texts go by WebSocket from now on: %s", error)
            else:
                return
        pieces = _audio(self._synthesis.speak(synthesis(model, parameters), _one(text)))
        async with aclosing(_whole_samples(pieces)) as samples:
            async for pcm in samples:
                yield pcm

    def _reads(self, markup: ssml.Markup, model: str) -> bool:
        """Whether markup may be sent as such; a voice may still refuse it."""
        return (
            bool(markup.ssml and _speakable(markup.plain))
            and len(markup.plain) <= _LONGEST_MARKUP
            and model not in _NEVER_MARKUP
        )

    async def _spoken_markup(
        self, model: str, document: str, parameters: Parameters
    ) -> AsyncGenerator[bytes, None]:
        payload = synthesis(model, parameters | {"enable_ssml": True})
        pieces = _audio(self._synthesis.speak(payload, _one(document), in_one_piece=True))
        async with aclosing(_whole_samples(pieces)) as samples:
            async for pcm in samples:
                yield pcm

    def _asked(self, voice: VoiceRef, speed: float) -> tuple[str, Parameters]:
        """The model, and the parameters of a task."""
        model, _, name = voice.name.partition("/")
        if not model or not name:
            raise self._error(f"the voice {voice.name!r} is not <model>/<voice>", "bad_request")
        if not 0.5 <= speed <= 2.0:
            raise self._error(f"speed {speed} is not within 0.5 to 2.0", "bad_request")
        return model, {
            "text_type": "PlainText",
            "voice": name,
            "format": "pcm",
            "sample_rate": SAMPLE_RATE,
            "volume": 50,
            "rate": speed,
            "pitch": 1.0,
        }

    def _error(self, message: str, reason: Reason) -> ProviderError:
        return ProviderError(message, provider=self.name, reason=reason)


def _speakable(text: str) -> str:
    """``text`` without pictures and controls, on which the engine fails; "" if nothing is left."""
    kept = "".join(
        letter for letter in text if letter == "\n" or unicodedata.category(letter) not in _UNSPOKEN
    )
    return kept if any(letter.isalnum() for letter in kept) else ""


async def _speakables(texts: AsyncIterator[str]) -> AsyncIterator[str]:
    async with aclosing(cast(AsyncGenerator[str, None], texts)) as open_texts:
        async for text in open_texts:
            if plain := _speakable(text):
                # A full stop ends a sentence where a space follows, and words stay apart.
                yield plain + " " if plain[-1].isascii() and not plain[-1].isspace() else plain


async def _one(text: str) -> AsyncIterator[str]:
    yield text


async def _audio(items: AsyncIterator[str | bytes]) -> AsyncIterator[bytes]:
    async with aclosing(cast(AsyncGenerator[str | bytes, None], items)) as open_items:
        async for item in open_items:
            if isinstance(item, bytes):
                yield item


async def _whole_samples(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    decoder = PcmDecoder()
    async with aclosing(cast(AsyncGenerator[bytes, None], pieces)) as open_pieces:
        async for piece in open_pieces:
            if pcm := decoder.feed(piece):
                yield pcm
