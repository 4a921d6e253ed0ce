"""Writes to the conversation that a spoken session shares with the chat.

A conversation may be deleted elsewhere while the session goes on: whatever is written to it
then raises ``ConversationNotFound``. All are for a thread of the database; none may run
within a transaction.
"""

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from chat import memory
from chat.models import Author, Conversation, Message, Modality
from chat.services import ConversationNotFound, RoleNotFound, conversation_start
from roles.models import Role
from uploads.models import AudioFile, Origin
from uploads.services import audio_store
from voice.asr.base import SAMPLE_RATE
from voice.audio.codecs import wav_bytes

logger = structlog.get_logger(__name__)


def conversation_open(*, user_id: int, role_id: int, public_id: str) -> int:
    """The id of the conversation of that name; made, with its greeting, where there is none.

    Two sessions that open the same one at once get the same.

    Raises:
        ConversationNotFound: It is with another role, or the user is gone.
        RoleNotFound: There is none, and the role is gone.
    """
    if (known := _known(user_id, role_id, public_id)) is not None:
        return known
    role = Role.objects.present().filter(pk=role_id).first()
    user = User.objects.filter(pk=user_id).first()
    if role is None:
        raise RoleNotFound
    if user is None:
        raise ConversationNotFound
    try:
        return conversation_start(user=user, role=role, public_id=public_id).pk
    except IntegrityError:
        # Somebody was quicker, or the user or the role is gone at this very moment.
        if (known := _known(user_id, role_id, public_id)) is not None:
            return known
        raise ConversationNotFound from None


def _known(user_id: int, role_id: int, public_id: str) -> int | None:
    named = Conversation.objects.filter(user_id=user_id, public_id=public_id)
    row = named.values_list("pk", "role_id").first()
    if row is None:
        return None
    pk, its_role = row
    if its_role != role_id:
        raise ConversationNotFound
    return pk


def utterance_store(*, conversation_id: int, user_id: int, text: str, pcm: bytes | None) -> int:
    """Store what the user said; returns the message's id.

    Args:
        conversation_id: In which conversation.
        user_id: Whose it is, and the audio.
        text: As typed; of what was spoken, as far as it is known.
        pcm: What was spoken, PCM16 mono at 16 000 Hz, kept as WAV; None for what was typed.

    Raises:
        ConversationNotFound: This user has none of that id; nothing was stored.
        voice.storage.StorageError: The audio could not be written; nothing was stored.
    """
    own = Conversation.objects.filter(pk=conversation_id, user_id=user_id)
    if pcm and not own.exists():
        raise ConversationNotFound  # before a file is written for nothing
    audio = _kept(pcm, user_id) if pcm else None
    try:
        with transaction.atomic():
            _touch(conversation_id, user_id=user_id)
            message = Message.objects.create(
                conversation_id=conversation_id,
                author=Author.USER,
                modality=Modality.TEXT if pcm is None else Modality.VOICE,
                text=text,
                audio=audio,
            )
    except BaseException:
        if audio is not None:
            audio.delete()
        raise
    return message.pk


def _kept(pcm: bytes, user_id: int) -> AudioFile:
    return audio_store(
        owner=User(pk=user_id),
        data=wav_bytes(pcm, SAMPLE_RATE),
        extension="wav",
        seconds=len(pcm) / 2 / SAMPLE_RATE,
        origin=Origin.UPLOAD,
    )


def transcript_settle(*, message_id: int, text: str) -> None:
    """What the recogniser understood becomes the message's text.

    Nobody said anything where it is empty: the message goes, and its audio.

    Raises:
        ConversationNotFound: The message is gone, maybe with its conversation.
    """
    if not text:
        message_forget(message_id=message_id)
    elif not Message.objects.filter(pk=message_id).update(text=text):
        raise ConversationNotFound


def reply_store(*, conversation_id: int, text: str, full_text: str, spoken: bool) -> int:
    """Store what the character said, and have a summary made where one is due.

    Args:
        conversation_id: In which conversation.
        text: As far as it was heard.
        full_text: All of it, where that is more; else empty.
        spoken: It was said aloud.

    Returns:
        The message's id.

    Raises:
        ConversationNotFound: It is gone; nothing was stored.
    """
    with transaction.atomic():
        _touch(conversation_id)
        message = Message.objects.create(
            conversation_id=conversation_id,
            author=Author.ASSISTANT,
            modality=Modality.VOICE if spoken else Modality.TEXT,
            text=text,
            full_text=full_text,
        )
    try:
        memory.summary_request(conversation_id=conversation_id)
    except Exception:
        # The reply is stored; a summary is due again with the next one.
        logger.exception("summary could not be requested")
    return message.pk


def _touch(conversation_id: int, **whose: int) -> None:
    """Note that it is alive; within a transaction nobody deletes it from here on."""
    own = Conversation.objects.filter(pk=conversation_id, **whose)
    if not own.update(active_at=timezone.now()):
        raise ConversationNotFound


def reply_update(*, message_id: int, text: str, full_text: str) -> None:
    """It is known better by now how much of a reply was heard.

    Raises:
        ConversationNotFound: The message is gone, maybe with its conversation.
    """
    reply = Message.objects.filter(pk=message_id, author=Author.ASSISTANT)
    if not reply.update(text=text, full_text=full_text):
        raise ConversationNotFound


def message_forget(*, message_id: int) -> None:
    """Delete a message and its audio; does nothing for one that is gone."""
    with transaction.atomic():
        message = Message.objects.select_related("audio").filter(pk=message_id).first()
        if message is None:
            return
        message.delete()
        if message.audio is not None:
            message.audio.delete()
