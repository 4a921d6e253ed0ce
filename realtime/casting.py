"""Which character plays: what a client names, as a role. All of it is for a database thread."""

import re
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q

from chat.completion_request import role_id_of
from chat.prompt import character_prompt
from realtime.character import Character
from roles.models import Role
from roles.selectors import role_find
from voice import catalogue
from voice.offered_models import speech_models, transcription_models

# Names of models that clients have built in; behind all of them is the house's character.
_OPENAI_MODEL = re.compile(r"gpt-[\w.-]*realtime[\w.-]*", re.ASCII)
_OPENAI_TRANSCRIPTION = re.compile(r"whisper-1|gpt-[\w.-]*(transcribe|whisper)[\w.-]*", re.ASCII)
_LONGEST_NAME = 100
_PLAIN_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Casting:
    """The answer to a name.

    Attributes:
        role: Who plays.
        named: The name means this very character; else it only stands in for a model.
    """

    role: Role
    named: bool


def cast(name: str) -> Casting | None:
    """Who plays for the name of a model or of a prompt; None where nobody does.

    Args:
        name: ``role:<id>``, a plain id, a preset's name or slug; or a model of OpenAI's
            realtime family or one of ours that speaks, for which the house's character
            plays: REALTIME_ROLE, else the first preset.
    """
    plain = f"role:{name}" if _PLAIN_ID.fullmatch(name) else name
    if (role_id := role_id_of(plain)) is not None:
        role = role_find(role_id=role_id)
        return Casting(role, named=True) if role else None
    if is_spoken_model(name):
        house = house_role()
        return Casting(house, named=False) if house else None
    if len(name) > _LONGEST_NAME or not name.isprintable():
        return None
    presets = Role.objects.present().filter(owner=None)
    role = presets.filter(Q(slug=name) | Q(name=name)).order_by("sort", "-id").first()
    return Casting(role, named=True) if role else None


def is_spoken_model(name: str) -> bool:
    """Whether a name is that of a model that speaks, whoever is behind it here."""
    if _OPENAI_MODEL.fullmatch(name) or name in speech_models():
        return True
    # CosyVoice's models are named by clients that know nothing of this installation's voices.
    voices = (each.provider_voice for each in catalogue.enabled() if each.provider == "dashscope")
    return any(voice.partition("/")[0] == name for voice in voices)


def is_listening_model(name: str) -> bool:
    """Whether a name is that of a model that transcribes."""
    return bool(_OPENAI_TRANSCRIPTION.fullmatch(name)) or name in transcription_models()


def house_role() -> Role | None:
    """Who plays where no character was named; None where there is none at all."""
    chosen = role_find(role_id=settings.REALTIME_ROLE) if settings.REALTIME_ROLE else None
    return chosen or (
        Role.objects.present().filter(owner=None).order_by("sort", "-created_at", "-id").first()
    )


def character_of(role: Role, user_name: str) -> Character:
    """A role as the protocol shows it."""
    return Character(
        role_id=role.pk,
        name=role.name,
        language=role.language,
        instructions=character_prompt(role, user_name),
        voice=role.voice_type,
    )


def voice_names() -> frozenset[str]:
    """Every name of a voice that a client may ask for."""
    entries = catalogue.enabled()
    return frozenset(
        name for each in entries for name in (each.voice_type, each.provider_voice) if name
    )
