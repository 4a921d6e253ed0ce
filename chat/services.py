"""Every write to conversations and turns.

A turn's state changes by conditional updates alone, and the row count says who won:
deliveries may be doubled, workers may be lost, and still each turn ends once.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.credentials import Credential
from accounts.models import User
from accounts.prepared import Prepared, argument
from accounts.quotas import check_budgets
from accounts.services import usage_add
from chat import metrics, selectors
from chat.engine.events import Stage
from chat.failures import failure_code
from chat.models import (
    Author,
    Conversation,
    Message,
    Modality,
    Summary,
    Turn,
    TurnState,
    new_public_id,
)
from chat.selectors import ClaimedTurn
from roles.models import Role
from uploads.models import AudioFile, Origin
from uploads.services import audio_store
from voice.attempts import Attempt
from voice.ledger import amounts_of


class RoleNotFound(Exception):
    """No such role, or it was deleted."""


class ConversationNotFound(Exception):
    """No such conversation of this user with this role."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user said: typed text, or audio of ours or at a foreign URL."""

    text: str = ""
    audio: AudioFile | None = None
    audio_url: str = ""

    @property
    def spoken(self) -> bool:
        return self.audio is not None or bool(self.audio_url)


@dataclass(frozen=True, slots=True)
class CreatedTurn:
    """A stored message and its turn; ``known`` where the client's id had come before."""

    turn_id: int
    role_id: int
    conversation_id: int
    known: bool = False


@transaction.atomic
def conversation_start(*, user: User, role: Role, public_id: str = "") -> Conversation:
    """A new conversation, opened by the character's greeting where it has one.

    Raises IntegrityError where the user has one with that ``public_id``; empty makes one.
    """
    conversation = Conversation.objects.create(
        user=user, role=role, public_id=public_id or new_public_id()
    )
    if greeting := selectors.first_words(role=role, user_name=user.username):
        Message.objects.create(conversation=conversation, author=Author.ASSISTANT, text=greeting)
    return conversation


def conversation_delete(*, conversation: Conversation) -> None:
    """Delete a conversation with all that was said in it, audio files included."""
    spoken = conversation.messages.exclude(audio=None).values_list("audio_id", flat=True)
    audio = AudioFile.objects.filter(pk__in=list(spoken))
    with transaction.atomic():
        conversation.delete()
        audio.delete()


def turn_create(
    *,
    user: User,
    role_id: int,
    utterance: Utterance,
    reply_modality: Modality | None,
    channel: str,
    conversation_id: int | None = None,
    client_id: str = "",
) -> CreatedTurn:
    """Store what the user said and the turn that answers it.

    Args:
        user: Who spoke.
        role_id: To which character.
        utterance: What was said.
        reply_modality: How to answer; None lets chance decide, half and half.
        channel: The protocol it came by, for the operator.
        conversation_id: Which conversation; None goes on with the newest one with that
            role, or starts one.
        client_id: The client's message id; one that is known starts nothing new.

    Raises:
        RoleNotFound, ConversationNotFound: Nothing was stored.
        QuotaSpent: Neither; nothing is left this month of what the turn would use.
    """
    if client_id and (known := _known_turn(user, client_id)):
        return known
    check_budgets(Credential(user), _budgets_of(utterance, reply_modality))
    try:
        with transaction.atomic():
            chosen = _conversation_for(user, role_id, conversation_id)
            message = Message.objects.create(
                conversation_id=chosen,
                author=Author.USER,
                modality=Modality.VOICE if utterance.spoken else Modality.TEXT,
                text=utterance.text,
                audio=utterance.audio,
                audio_url=utterance.audio_url,
            )
            turn = Turn.objects.create(
                user=user,
                conversation_id=chosen,
                request=message,
                client_id=client_id,
                channel=channel,
                reply_modality=reply_modality or _toss(),
            )
            Conversation.objects.filter(pk=chosen).update(active_at=timezone.now())
    except IntegrityError:
        # The same id from two sockets at once: the other one was first.
        if client_id and (known := _known_turn(user, client_id)):
            return known
        raise
    return CreatedTurn(turn.pk, role_id, chosen)


def _budgets_of(utterance: Utterance, reply_modality: Modality | None) -> list[str]:
    """What a turn uses; what chance may choose is among it."""
    budgets = ["tokens"]
    if utterance.spoken:
        budgets.append("seconds")
    if reply_modality != Modality.TEXT:
        budgets.append("characters")
    return budgets


def _toss() -> Modality:
    return random.choice((Modality.TEXT, Modality.VOICE))  # noqa: S311


def _known_turn(user: User, client_id: str) -> CreatedTurn | None:
    row = (
        Turn.objects.filter(user=user, client_id=client_id)
        .values_list("pk", "conversation__role_id", "conversation_id")
        .first()
    )
    return CreatedTurn(*row, known=True) if row else None


_newest = Prepared(
    lambda: (
        Conversation.objects.filter(
            user=argument("user_id"), role=argument("role_id"), role__deleted_at=None
        )
        .order_by("-active_at", "-id")
        .values_list("pk")[:1]
    )
)


def _conversation_for(user: User, role_id: int, conversation_id: int | None) -> int:
    """Its id; by the usual way, the newest conversation goes on, in one query."""
    if conversation_id is None and (row := _newest.first(user_id=user.pk, role_id=role_id)):
        chosen: int = row[0]
        return chosen
    role = Role.objects.present().filter(pk=role_id).first()
    if role is None:
        raise RoleNotFound
    if conversation_id is None:
        return conversation_start(user=user, role=role).pk
    if not Conversation.objects.filter(pk=conversation_id, user=user, role=role).exists():
        raise ConversationNotFound
    return conversation_id


def turn_claim(*, turn_id: int, worker: str) -> ClaimedTurn | None:
    """Queued → running, for one worker alone; None where somebody was quicker.

    Where it raises the turn is still queued, so that it may be tried again.
    """
    with transaction.atomic():
        claimed = Turn.objects.filter(pk=turn_id, state=TurnState.QUEUED).update(
            state=TurnState.RUNNING,
            worker=worker,
            attempt=F("attempt") + 1,
            started_at=timezone.now(),
        )
        turn = selectors.claimed_turn(turn_id=turn_id) if claimed else None
    if turn is not None and turn.attempt == 1:
        metrics.turn_claimed(turn.channel, (timezone.now() - turn.created_at).total_seconds())
    return turn


def transcript_store(*, message_id: int, text: str) -> None:
    """What the recogniser understood becomes the message's text."""
    Message.objects.filter(pk=message_id).update(text=text)


def turn_complete(
    *,
    turn: ClaimedTurn,
    text: str,
    audio: bytes,
    audio_seconds: float,
    timings: Mapping[str, float],
    cancelled: bool = False,
    full_text: str = "",
) -> bool:
    """Running → completed or cancelled, with the reply stored; False where it had ended.

    Only the attempt that claimed the turn ends it: a worker that was given up as lost and
    comes back finds the turn taken.
    """
    stored = (
        audio_store(
            owner=User(pk=turn.user_id),
            data=audio,
            extension="mp3",
            seconds=audio_seconds,
            origin=Origin.REPLY,
        )
        if audio
        else None
    )
    state = TurnState.CANCELLED if cancelled else TurnState.COMPLETED
    with transaction.atomic():
        reply = _reply_store(turn, text, full_text, stored) if text.strip() else None
        ended = _end(turn, state=state, reply=reply, timings=dict(timings))
        if not ended:
            transaction.set_rollback(True)
    if ended:
        metrics.turn_ended(turn.channel, state, timings)
    elif stored is not None:
        stored.delete()
    return ended


def _reply_store(turn: ClaimedTurn, text: str, full_text: str, audio: AudioFile | None) -> Message:
    return Message.objects.create(
        conversation_id=turn.conversation_id,
        author=Author.ASSISTANT,
        modality=turn.reply_modality,
        text=text,
        full_text=full_text,
        audio=audio,
    )


def _end(turn: ClaimedTurn, **fields: object) -> bool:
    mine = Turn.objects.filter(pk=turn.pk, state=TurnState.RUNNING, attempt=turn.attempt)
    return mine.update(ended_at=timezone.now(), **fields) == 1


def turn_fail(
    *,
    turn_id: int,
    stage: Stage,
    reason: str,
    attempt: int | None = None,
    timings: Mapping[str, float] | None = None,
) -> bool:
    """Queued or running → failed; False where it had ended already.

    Args:
        turn_id: Which turn.
        stage: Where it failed.
        reason: Why.
        attempt: Fail only this run of it; None whichever.
        timings: As far as they were taken.
    """
    open_ = Q(state__in=(TurnState.QUEUED, TurnState.RUNNING))
    if attempt is not None:
        open_ &= Q(attempt=attempt)
    failed = Turn.objects.filter(open_, pk=turn_id).update(
        state=TurnState.FAILED,
        error=f"{stage}:{reason}",
        error_code=failure_code(stage, reason),
        timings=dict(timings or {}),
        ended_at=timezone.now(),
    )
    if failed:
        metrics.turn_failed(selectors.turn_channel(turn_id=turn_id), stage, reason, timings or {})
    return failed == 1


def turn_cancel_queued(*, turn_id: int) -> bool:
    """Queued → cancelled; False where it runs or has ended."""
    queued = Turn.objects.filter(pk=turn_id, state=TurnState.QUEUED)
    cancelled = queued.update(state=TurnState.CANCELLED, ended_at=timezone.now())
    if cancelled:
        channel = selectors.turn_channel(turn_id=turn_id)
        metrics.turn_ended(channel, TurnState.CANCELLED, {})
    return cancelled == 1


def turn_requeue(*, turn_id: int, attempt: int) -> bool:
    """Running → queued, once in a turn's life: its first worker was lost."""
    lost = Turn.objects.filter(pk=turn_id, state=TurnState.RUNNING, attempt=attempt)
    return attempt == 1 and lost.update(state=TurnState.QUEUED, worker="") == 1


def summary_store(*, conversation_id: int, text: str, through: int) -> None:
    """A newer summary; storing the same one twice (a redelivered task) changes nothing."""
    Summary.objects.get_or_create(
        conversation_id=conversation_id, through_id=through, defaults={"text": text}
    )


def usage_store(
    *,
    user_id: int,
    conversation_id: int | None,
    attempts: Iterable[Attempt],
    key_id: int | None = None,
) -> None:
    """What providers were asked for a conversation goes into its user's ledger.

    Args:
        user_id: Who used it.
        conversation_id: Names the role it was for; None where nothing was stored of it.
        attempts: Of a turn.
        key_id: The API key it was asked with; None for a session.
    """
    amounts = amounts_of(attempts)
    if amounts:
        role_id = selectors.role_of(conversation_id=conversation_id) if conversation_id else None
        usage_add(user_id=user_id, role_id=role_id, amounts=amounts, key_id=key_id)
