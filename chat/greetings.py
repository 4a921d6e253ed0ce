"""The first words of characters, spoken once and kept.

They are spoken when a role is saved, where turns run: there are the voices, warm.
"""

from collections.abc import Collection

import structlog
from django.conf import settings
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
from voice.speech_store import DjangoSpeechStore
from voice.tts.base import VoiceRef

logger = structlog.get_logger(__name__)

# What a greeting calls whoever hears it: it is spoken for everybody.
_YOU = {Language.CHINESE: "你", Language.ENGLISH: "you"}
# What is heard of a role in its greeting.
_HEARD = frozenset({"greeting", "name", "language", "voice_type"})


class NothingToSay(LookupError):
    """No such role, or one whose greeting has no words."""


class NotSpoken(Exception):
    """The greeting could not be spoken; the message is for the log."""


def greeting_text(*, greeting: str, name: str, language: str) -> str:
    """A greeting as it is spoken, without directions and markup; maybe nothing."""
    text = fill_macros(greeting, char=name, user=_YOU[Language(language)])
    speakable = SpeakableFilter(language)
    return (speakable.feed(text) + speakable.flush()).strip()


async def greeting_path(*, role_id: int) -> str:
    """Where the spoken greeting of a role is served; it is spoken now if it never was.

    Raises:
        NothingToSay: See there.
        NotSpoken: The voice failed or another one spoke for it, or nothing is ever kept.
    """
    text, voice = await in_database_thread(_greeting, role_id)
    kept = speech.current().kept
    if kept is None or not settings.SPEECH_CACHE_MB:
        raise NotSpoken("no synthesiser is switched on, or nothing is kept")
    store = DjangoSpeechStore()
    key = kept.key(text, voice)
    if (path := await store.path(key)) is not None:
        return path
    try:
        async for _ in kept.synthesize(text, voice=voice):
            pass
    except ProviderError as error:
        raise NotSpoken(f"{error.provider}: {error}") from error
    await kept.flush()
    if (path := await store.path(key)) is None:
        raise NotSpoken("another voice spoke, or the speech could not be kept")
    return path


async def greeting_keep(*, role_id: int) -> None:
    """Have a greeting spoken beforehand; if it cannot be, the first who asks will hear why."""
    try:
        await greeting_path(role_id=role_id)
    except NothingToSay:
        return
    except NotSpoken as error:
        logger.warning("greeting not spoken", role_id=role_id, why=str(error))


def greeting_request(role: Role, fields: Collection[str] | None = None) -> None:
    """Have a role's greeting spoken once the role is committed, if its sound may have changed.

    Args:
        role: As it is saved.
        fields: The names of those that were written; None for all.
    """
    if not role.greeting or not settings.SPEECH_CACHE_MB or not speech.tts_names():
        return
    if fields is None or _HEARD.intersection(fields):
        transaction.on_commit(lambda: _send(role.pk), robust=True)


def _send(role_id: int) -> None:
    # Tasks import this module.
    from chat.tasks import speak_greeting

    try:
        speak_greeting.delay(role_id)
    except (BrokerError, OSError) as error:
        logger.warning("greeting not spoken beforehand", role_id=role_id, why=str(error))


def _greeting(role_id: int) -> tuple[str, VoiceRef]:
    role = Role.objects.present().filter(pk=role_id).first()
    if role is None:
        raise NothingToSay(role_id)
    text = greeting_text(greeting=role.greeting, name=role.name, language=role.language)
    if not is_speakable(text):
        raise NothingToSay(role_id)
    try:
        voice = catalogue.resolve(role.voice_type, speech.tts_names(), language=role.language)
    except VoiceNotServed as error:
        raise NotSpoken(str(error)) from error
    return text, voice
