"""What a character says when its voice has failed: one sentence, kept from a better day."""

import time

import structlog
from django.conf import settings

from voice import speech
from voice.errors import ProviderError
from voice.tts.base import VoiceRef

logger = structlog.get_logger(__name__)

_AGAIN_SECONDS = 24 * 3600.0
_LATER_SECONDS = 600.0

_SENTENCES = {
    "zh": "抱歉，我的嗓子一时出不了声，请过一会儿再跟我说。",
    "en": "I'm sorry, I have lost my voice for a moment. Please talk to me again a little later.",
}

_due: dict[tuple[VoiceRef, str], float] = {}


def sentence(language: str) -> str:
    """The sentence in a character's language, ``zh`` or ``en``."""
    return _SENTENCES["en" if language == "en" else "zh"]


async def recall(voice: VoiceRef, language: str) -> bytes:
    """The apology in this voice, if it is kept; no provider is asked.

    Returns:
        PCM16 mono at the synthesiser's rate; empty where nothing is kept.
    """
    kept = speech.current().kept
    if kept is None:
        return b""
    return b"".join([pcm async for pcm in kept.recall(sentence(language), voice=voice)])


async def keep(voice: VoiceRef, language: str) -> None:
    """Have a voice that works speak its apology, unless it is kept; once a day and process.

    For after a turn: it takes as long as the sentence takes to be spoken. A failure is
    logged; a turn after ten minutes tries again.
    """
    kept, asked = speech.current().kept, (voice, language)
    if kept is None or not settings.SPEECH_CACHE_MB or time.monotonic() < _due.get(asked, 0.0):
        return
    _due[asked] = time.monotonic() + _LATER_SECONDS  # also while it is being spoken
    try:
        async for _ in kept.synthesize(sentence(language), voice=voice):
            pass
    except ProviderError as error:
        logger.warning("apology not spoken", provider=error.provider, why=str(error))
        return
    await kept.flush()
    if await kept.holds(sentence(language), voice=voice):  # else another voice stood in
        _due[asked] = time.monotonic() + _AGAIN_SECONDS
