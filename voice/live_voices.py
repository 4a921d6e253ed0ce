"""The voices that vendors have now, asked of themselves. A new vendor is a line in LISTS."""

from collections.abc import Callable, Coroutine
from typing import Any

from voice.delivered import Entry, openai_names
from voice.errors import ProviderError
from voice.models import EVERY_LANGUAGE
from voice.openai_voices import list_voices as list_server_voices
from voice.qiniu.voices import list_voices
from voice.speech import provider_config, qiniu_config

# Behind those that come with the platform, until the operator sorts them.
_SORT = 10_000
_LANGUAGES = {"": "zh", "multi": EVERY_LANGUAGE}


async def _qiniu() -> list[Entry]:
    config = qiniu_config()
    if config is None:
        raise ProviderError("QINIU_API_KEY is not set", provider="qiniu", reason="auth")
    return [
        Entry(
            voice_type=voice.voice_type,
            voice_name=voice.voice_name,
            category=voice.category,
            language=_LANGUAGES.get(voice.language, voice.language),
            gender=voice.gender,
            provider="qiniu",
            provider_voice=voice.voice_type,
            sample_url=voice.sample_url,
            enabled=True,
            sort=_SORT + number,
            listed=True,
        )
        for number, voice in enumerate(await list_voices(config), 1)
    ]


async def _openai() -> list[Entry]:
    """Of the server that ``TTS_BASE_URL`` names, where its kind has a list."""
    try:
        voices = await list_server_voices(provider_config("TTS"))
    except ValueError as error:
        raise ProviderError(str(error), provider="openai", reason="bad_request") from error
    known = openai_names()
    return [
        Entry(
            voice_type=voice.name if voice.name in known else f"openai_{voice.name}",
            voice_name=voice.name,
            category="",
            language=voice.language or EVERY_LANGUAGE,
            gender=voice.gender or "other",
            provider="openai",
            provider_voice=voice.name,
            sample_url="",
            enabled=True,
            sort=_SORT + number,
            listed=True,
        )
        for number, voice in enumerate(voices, 1)
    ]


LISTS: dict[str, Callable[[], Coroutine[Any, Any, list[Entry]]]] = {
    "qiniu": _qiniu,
    "openai": _openai,
}
"""By registry name: what gives the whole list. Raises ProviderError where it cannot."""
