"""``POST /v1/audio/transcriptions``."""

import asyncio
import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.multipartparser import MultiPartParserError

from accounts.credentials import Credential
from accounts.database import in_database_thread
from accounts.openai_fields import Fields, invalid, missing, no_model, require_type, unsupported
from accounts.openai_http import ApiError, Stream, endpoint, event, failure
from voice import captions, speech
from voice.asr.base import SAMPLE_RATE, Transcript
from voice.asr.fallback import FallbackRecognizer
from voice.audio.decode import AudioError, AudioFault, DecodedClip, decode_clip
from voice.errors import ProviderError
from voice.metering import metered
from voice.offered_models import transcription_models
from voice.openai_failures import api_error, provider_failures

logger = structlog.get_logger(__name__)

MAX_BYTES = 25 * 2**20
_BLOCK = SAMPLE_RATE // 5 * 2  # bytes of 200 ms
_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
_STREAMED = ("json", "text")
_MAX_PROMPT = 4096
_FAULTS: Mapping[AudioFault, str] = {
    "empty": "the file is empty",
    "not_audio": "the file is not audio of a supported format (flac, m4a, mp3, mp4, mpeg, mpga,"
    " oga, ogg, wav, webm)",
    "unsupported": "the file's codec or sample rate is not supported",
    "no_audio": "the file has no audio track",
    "broken": "the audio cannot be decoded",
    "truncated": "the file is cut short",
}


@dataclass(frozen=True, slots=True)
class _Request:
    """The fields of the form; ``language`` is empty where the recogniser is to decide."""

    file: UploadedFile[bytes]
    model: str
    language: str
    format: str
    temperature: float
    stream: bool


@endpoint("POST", budgets=("seconds",))
async def create_transcription(request: HttpRequest, credential: Credential) -> HttpResponseBase:
    """Write down what is said in a file."""
    require_type(request, "multipart/form-data")
    asked = await asyncio.to_thread(_read, request)
    models = await in_database_thread(transcription_models)
    recognizer = speech.current().recognizer
    if recognizer is None or asked.model not in models:
        raise no_model(asked.model)
    clip = await asyncio.to_thread(_decode, asked.file, recognizer.capabilities.max_seconds)
    transcripts = _transcripts(
        recognizer, clip.pcm, asked.language, models[asked.model], credential
    )
    with provider_failures():
        if asked.stream:
            return await Stream.begin(_events(transcripts, clip.seconds), "text/event-stream")
        final = Transcript("", is_final=True)
        async with aclosing(transcripts):
            async for transcript in transcripts:
                final = transcript
    return _answer(final, clip.seconds, asked)


def _read(request: HttpRequest) -> _Request:
    """Parse the form; in a thread, as its file may have to be written to disk."""
    try:
        form, files = request.POST, request.FILES
    except RequestDataTooBig:
        raise failure(413) from None
    except (MultiPartParserError, SuspiciousOperation, OSError):
        raise ApiError(400, "We could not parse the form.", code="invalid_form") from None
    fields = Fields({name: form[name] for name in form}, typed=False)
    model = fields.text("model")
    file = files.get("file")
    if file is None:
        raise missing("file")
    if file.size is not None and file.size > MAX_BYTES:
        raise failure(413)
    output = fields.choice("response_format", _FORMATS, default="json")
    stream = fields.flag("stream")
    if stream and output not in _STREAMED:
        raise invalid("stream", f"a transcript as {output} cannot be streamed")
    for name in ("timestamp_granularities[]", "timestamp_granularities"):
        for wanted in form.getlist(name):
            if wanted == "word":
                raise unsupported(name, "words are not timed here, segments are")
            Fields({name: wanted}).choice(name, ("segment",), default="segment")
    fields.text("prompt", default="", longest=_MAX_PROMPT)
    return _Request(
        file=file,
        model=model,
        language=_language(fields.text("language", default="")),
        format=output,
        temperature=fields.number("temperature", default=0.0, least=0.0, most=1.0),
        stream=stream,
    )


def _language(named: str) -> str:
    """A hint that recognisers here understand; they find out other languages by themselves."""
    tag = named.lower().replace("_", "-").partition("-")[0]
    if named and not (tag.isascii() and tag.isalpha() and len(tag) <= 10):
        raise invalid("language", f"'{named[:20]}' is not an ISO 639-1 code")
    return {"zh": "zh", "cmn": "zh", "yue": "zh", "chinese": "zh", "en": "en", "english": "en"}.get(
        tag, ""
    )


def _decode(file: UploadedFile[bytes], max_seconds: float) -> DecodedClip:
    """Blocks. Raises ApiError for what is no audio, or too long."""
    source = Path(file.temporary_file_path()) if isinstance(file, TemporaryUploadedFile) else None
    try:
        return decode_clip(
            source or file.read(),
            max_seconds=max_seconds,
            max_bytes=MAX_BYTES,
            sample_rate=SAMPLE_RATE,
        )
    except AudioError as error:
        if error.reason == "too_large":
            raise failure(413) from error
        if error.reason == "too_long":
            why = f"the audio is longer than {max_seconds:g} seconds"
            raise ApiError(
                400, f"Invalid 'file': {why}.", code="audio_too_long", param="file"
            ) from error
        raise invalid("file", _FAULTS[error.reason]) from error


async def _transcripts(
    recognizer: FallbackRecognizer, pcm: bytes, language: str, first: str, credential: Credential
) -> AsyncGenerator[Transcript, None]:
    found = recognizer.recognize(_blocks(pcm), language=language, first=first)
    async with (
        metered(credential),
        aclosing(cast(AsyncGenerator[Transcript, None], found)) as transcripts,
    ):
        async for transcript in transcripts:
            yield transcript


async def _blocks(pcm: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), _BLOCK):
        yield pcm[start : start + _BLOCK]


async def _events(
    transcripts: AsyncGenerator[Transcript, None], seconds: float
) -> AsyncGenerator[bytes, None]:
    """Deltas of what will hardly change any more, then the whole.

    Transcripts replace each other, deltas cannot be taken back: so much goes out of one that
    is not final as the one before it had as well. Where the final one differs nevertheless,
    the text of the last event is what counts.
    """
    sent = before = ""
    begun = False
    try:
        async with aclosing(transcripts):
            async for transcript in transcripts:
                now = transcript.text
                sure = now if transcript.is_final else _shared(before, now)
                before = now
                if sure.startswith(sent) and len(sure) > len(sent):
                    yield event({"type": "transcript.text.delta", "delta": sure[len(sent) :]})
                    begun, sent = True, sure
    except ProviderError as error:
        if not begun:
            raise
        logger.warning("recognition broke off", provider=error.provider, why=str(error))
        yield event(api_error(error).body())
        return
    yield event({"type": "transcript.text.done", "text": before, "usage": _usage(seconds)})


def _shared(left: str, right: str) -> str:
    """What both begin with."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    return right[: sum(1 for _ in same)]


def _answer(transcript: Transcript, seconds: float, asked: _Request) -> HttpResponseBase:
    if asked.format == "text":
        return _text(transcript.text + "\n", "text/plain")
    if asked.format == "srt":
        return _text(captions.srt(captions.timed(transcript, seconds)), "application/x-subrip")
    if asked.format == "vtt":
        return _text(captions.vtt(captions.timed(transcript, seconds)), "text/vtt")
    if asked.format == "verbose_json":
        body = captions.verbose(transcript, seconds, asked.temperature)
    else:
        body = {"text": transcript.text}
    body["usage"] = _usage(seconds)
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


def _text(text: str, mime: str) -> HttpResponse:
    return HttpResponse(text, content_type=f"{mime}; charset=utf-8")


def _usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(seconds)}
