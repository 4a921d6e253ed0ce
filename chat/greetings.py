"""The first words of characters, spoken once and kept.

They are spoken when a role is saved, where turns run: there are the voices, warm.
"""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

from accounts.database import in_database_thread
from chat.engine.speakable import SpeakableFilter
from chat.prompt import fill_macros
from roles.models import Language, Role
from voice import catalogue, speech
from voice.catalogue import VoiceNotServed
from voice.errors import ProviderError
from voice.sentences import is_speakable
from voice.speech_store import speech_path
from voice.tts.base import VoiceRef

logger = structlog.get_logger(__name__)

# What a greeting calls whoever hears it: it is spoken for everybody.
_YOU = {Language.CHINESE: "你", Language.ENGLISH: "you"}
# What is heard of a role in its greeting.
_HEARD = frozenset({"greeting", "name", "language", "voice_type"})
# While it is asked for again and again, it is handed over once in so many seconds.
_HANDED_OVER = 20


class NoGreeting(LookupError):
    """No such role, or its greeting has no words."""


class NotSpoken(Exception):
    """Nobody here speaks, or what is spoken is not kept."""


@dataclass(frozen=True, slots=True)
class _Greeting:
    """What is said, and by whom."""

    text: str
    voice: VoiceRef

    @property
    def key(self) -> str:
        return speech.key_of(self.text, self.voice)


def greeting_text(*, greeting: str, name: str, language: str) -> str:
    """A greeting as it is spoken, without directions and markup; maybe nothing."""
    text = fill_macros(greeting, char=name, user=_YOU[Language(language)])
    speakable = SpeakableFilter(language)
    return (speakable.feed(text) + speakable.flush()).strip()


def greeting_path(*, role_id: int) -> str | None:
    """Where the spoken greeting of a role is served.

    None while it is still to be spoken: it is handed over now, so ask again. Blocks.

    Raises:
        NoGreeting, NotSpoken: See there.
    """
    greeting = _greeting(role_id)
    path = speech_path(greeting.key)
    if path is None and cache.add(f"greeting:{greeting.key}", 1, timeout=_HANDED_OVER):
        _hand_over(role_id)
    return path


def greeting_request(role: Role, fields: Collection[str] | None = None) -> None:
    """Have a role's greeting spoken once the role is committed, if its sound may have changed.

    Args:
        role: As it is saved.
        fields: The names of those that were written; None for all.
    """
    if role.greeting and _speaks() and (fields is None or _HEARD.intersection(fields)):
        transaction.on_commit(lambda: _hand_over(role.pk), robust=True)


async def greeting_keep(*, role_id: int) -> None:
    """Have a greeting spoken, unless it is kept. A voice that fails is logged."""
    try:
        greeting = await in_database_thread(_greeting, role_id)
    except (NoGreeting, NotSpoken):
        return  # it was written anew, or deleted, meanwhile
    kept = speech.current().kept
    path = await in_database_thread(speech_path, greeting.key)
    if kept is None or path:
        return
    try:
        async for _ in kept.synthesize(greeting.text, voice=greeting.voice):
            pass
    except ProviderError as error:
        logger.warning("greeting not spoken", role_id=role_id, why=f"{error.provider}: {error}")


def _hand_over(role_id: int) -> None:
    # Tasks import this module.
    from chat.tasks import speak_greeting

    try:
        speak_greeting.delay(role_id)
    except (BrokerError, OSError) as error:
        logger.warning("greeting not handed over", role_id=role_id, why=str(error))


def _speaks() -> bool:
    return bool(settings.SPEECH_CACHE_MB and speech.tts_names())


def _greeting(role_id: int) -> _Greeting:
    role = Role.objects.present().filter(pk=role_id).first()
    if role is None:
        raise NoGreeting(role_id)
    text = greeting_text(greeting=role.greeting, name=role.name, language=role.language)
    if not is_speakable(text):
        raise NoGreeting(role_id)
    try:
        voice = catalogue.resolve(role.voice_type, speech.tts_names(), language=role.language)
    except VoiceNotServed as error:
        raise NotSpoken(str(error)) from error
    if not _speaks():
        raise NotSpoken("SPEECH_CACHE_MB is 0")
    return _Greeting(text, voice)
