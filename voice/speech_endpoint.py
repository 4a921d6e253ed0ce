"""``POST /v1/audio/speech``."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

import structlog
from django.http import HttpRequest, HttpResponseBase

from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.openai_fields import Fields, invalid, json_fields, no_model
from accounts.openai_http import ApiError, BrokenStream, Stream, endpoint, event
from voice import catalogue, speech
from voice.audio.encoders import FORMATS
from voice.errors import ProviderError
from voice.metering import metered
from voice.offered_models import speech_models
from voice.openai_failures import api_error, provider_failures
from voice.sentences import is_speakable
from voice.spoken import Saying, SpokenText
from voice.tts.base import VoiceRef

logger = structlog.get_logger(__name__)

MAX_CHARACTERS = 4096
# OpenAI counts audio that a model makes as 20 tokens a second.
_TOKENS_A_SECOND = 20


@dataclass(frozen=True, slots=True)
class _Request:
    """The fields of the body."""

    model: str
    text: str
    voice: str
    format: str
    speed: float
    events: bool


@endpoint("POST", budgets=("characters",))
async def create_speech(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """Say a text; the audio streams out while it is being made."""
    asked = _read(json_fields(request))
    voice, heard = await in_database_thread(_choose_voice, asked)
    synthesizer = speech.current().kept
    if synthesizer is None:
        raise no_model(asked.model)
    spoken = SpokenText(Saying(asked.text, voice, asked.speed, asked.format), synthesizer)
    if asked.events:
        pieces, mime = _events(spoken, credential, len(asked.text)), "text/event-stream"
    else:
        pieces, mime = _audio(spoken, credential), FORMATS[asked.format].mime
    with provider_failures():
        return await Stream.begin(pieces, mime, {"X-Voice": quote(heard)})


def _read(fields: Fields) -> _Request:
    model = fields.text("model")
    text = fields.text("input", longest=MAX_CHARACTERS)
    if not is_speakable(text):
        raise invalid("input", "there is nothing in it that can be said")
    named = fields.get("voice")
    if isinstance(named, dict):
        named = Fields(named).get("id")
        if not isinstance(named, str):
            raise invalid("voice", "expected a name, or an object with its 'id'")
    else:
        named = fields.text("voice")
    fields.text("instructions", default="", longest=MAX_CHARACTERS)
    return _Request(
        model=model,
        text=text,
        voice=named,
        format=fields.choice("response_format", FORMATS, default="mp3"),
        speed=fields.number("speed", default=1.0, least=0.25, most=4.0),
        events=fields.choice("stream_format", ("audio", "sse"), default="audio") == "sse",
    )


def _choose_voice(asked: _Request) -> tuple[VoiceRef, str]:
    """Who speaks: the voice that was named, else its stand-in or the nearest one served.

    Returns:
        The voice, and our identifier of it.
    """
    models = speech_models()
    if asked.model not in models:
        raise no_model(asked.model)
    provider = models[asked.model]
    # A name may stand for a voice of each of a vendor's models.
    entry = catalogue.find(f"{asked.model}/{asked.voice}") or catalogue.find(asked.voice)
    if entry is None:
        raise invalid("voice", f"there is no voice '{asked.voice[:100]}'; see /api/voiceTypes")
    language = "zh" if any("\u3400" <= char <= "\u9fff" for char in asked.text) else "en"
    try:
        heard = catalogue.speaker(
            entry.voice_type, [provider] if provider else speech.tts_names(), language=language
        )
    except catalogue.VoiceNotServed as error:
        raise ApiError(
            503, "No voice can be had at the moment.", code="provider_unavailable"
        ) from error
    return heard.ref(language), heard.voice_type


async def _audio(spoken: SpokenText, credential: Credential) -> AsyncGenerator[bytes, None]:
    begun = False
    try:
        async with metered(credential), aclosing(spoken.stream()) as pieces:
            async for piece in pieces:
                yield piece
                begun = True
    except ProviderError as error:
        if not begun:
            raise
        logger.warning("speech broke off", provider=error.provider, why=str(error))
        raise BrokenStream from error


async def _events(
    spoken: SpokenText, credential: Credential, characters: int
) -> AsyncGenerator[bytes, None]:
    begun = False
    try:
        async with metered(credential), aclosing(spoken.stream()) as pieces:
            async for piece in pieces:
                audio = base64.b64encode(piece).decode()
                yield event({"type": "speech.audio.delta", "audio": audio})
                begun = True
    except ProviderError as error:
        if not begun:
            raise
        logger.warning("speech broke off", provider=error.provider, why=str(error))
        yield event(api_error(error).body())
        return
    made = round(spoken.seconds * _TOKENS_A_SECOND)
    usage = {"input_tokens": characters, "output_tokens": made, "total_tokens": characters + made}
    yield event({"type": "speech.audio.done", "usage": usage})
