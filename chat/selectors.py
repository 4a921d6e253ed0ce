"""Every read of conversations; each is scoped to a user, or to a turn a worker runs."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from accounts.models import User
from accounts.prepared import Prepared, argument
from chat.models import Author, Conversation, Message, Modality, Summary, Turn, TurnState
from chat.prompt import fill_macros
from roles.models import Role
from uploads.models import AudioFile

# More messages than any model's window holds; the token budget cuts further.
HISTORY_ROWS = 400
# Behind every message.
_END = 2**63 - 1


def conversations_of(*, user: User, role_id: int | None = None) -> QuerySet[Conversation]:
    """A user's conversations, the last active first, with role, count and newest message."""
    newest = Message.objects.filter(conversation=OuterRef("pk")).exclude(text="").order_by("-id")
    found = (
        Conversation.objects.filter(user=user)
        .select_related("role")
        .annotate(
            message_count=Count("messages"),
            last_author=Subquery(newest.values("author")[:1]),
            last_text=Subquery(newest.values("text")[:1]),
            last_at=Subquery(newest.values("created_at")[:1]),
        )
        .order_by("-active_at", "-id")
    )
    return found.filter(role_id=role_id) if role_id is not None else found


def conversation_of(*, user: User, conversation_id: int) -> Conversation | None:
    """One of a user's conversations."""
    return conversations_of(user=user).filter(pk=conversation_id).first()


def messages_page(
    *, conversation: Conversation, before: int | None, limit: int
) -> tuple[list[Message], bool]:
    """The newest ``limit`` messages (before an id), oldest first, and whether more precede."""
    found = (
        conversation.messages.select_related("audio", "turn", "reply_of")
        .filter(Q(pk__lt=before) if before is not None else Q())
        .order_by("-id")[: limit + 1]
    )
    rows = list(found)
    return rows[:limit][::-1], len(rows) > limit


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn stands, as its user may see it."""

    turn_id: int
    role_id: int
    conversation_id: int
    state: str
    attempt: int
    worker: str
    error: str
    error_code: int
    reply_modality: str
    transcript: str
    spoken: bool
    reply_id: int | None
    reply_text: str
    reply_audio: str  # name in storage; empty where there is none
    reply_audio_size: int  # bytes
    reply_path: str  # where it is served


_result = Prepared(
    lambda: Turn.objects.filter(pk=argument("turn_id")).values_list(
        *("conversation__role_id", "conversation_id", "state", "attempt", "worker", "error"),
        *("error_code", "reply_modality", "request__text", "request__modality"),
        *("reply_id", "reply__text", "reply__audio__token", "reply__audio__extension"),
        "reply__audio__size",
    )
)


def turn_result(*, turn_id: int) -> TurnResult:
    """How a turn stands. Raises Turn.DoesNotExist (its conversation was deleted)."""
    row = _result.first(turn_id=turn_id)
    if row is None:
        raise Turn.DoesNotExist
    role_id, conversation_id, state, attempt, worker, error, error_code, reply_modality = row[:8]
    asked, modality, reply_id, reply_text, token, extension, size = row[8:]
    audio = AudioFile(token=token, extension=extension) if token else None
    return TurnResult(
        turn_id=turn_id,
        role_id=role_id,
        conversation_id=conversation_id,
        state=state,
        attempt=attempt,
        worker=worker,
        error=error,
        error_code=error_code,
        reply_modality=reply_modality,
        transcript=asked if modality == Modality.VOICE else "",
        spoken=modality == Modality.VOICE,
        reply_id=reply_id,
        reply_text=reply_text or "",
        reply_audio=audio.name if audio else "",
        reply_audio_size=size or 0,
        reply_path=audio.path if audio else "",
    )


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """A turn in the hands of the worker that claimed it."""

    pk: int
    attempt: int
    user_id: int
    conversation_id: int
    request_id: int
    channel: str
    reply_modality: str
    created_at: datetime


_claimed = Prepared(
    lambda: Turn.objects.filter(pk=argument("turn_id")).values_list(
        *(field.name for field in fields(ClaimedTurn))
    )
)


def claimed_turn(*, turn_id: int) -> ClaimedTurn | None:
    """The turn that a worker has just claimed; None where it was deleted."""
    row = _claimed.first(turn_id=turn_id)
    return ClaimedTurn(*row) if row else None


def turn_channel(*, turn_id: int) -> str:
    """The protocol that a turn came by; empty where the turn was deleted."""
    found = Turn.objects.filter(pk=turn_id).values_list("channel", flat=True)
    return found.first() or ""


def first_words(*, role: Role, user_name: str) -> str:
    """With what the character opens a conversation; empty for one that waits."""
    return fill_macros(role.greeting, char=role.name, user=user_name)


def role_of(*, conversation_id: int) -> int | None:
    """With whom a conversation is; None where it was deleted."""
    return Conversation.objects.filter(pk=conversation_id).values_list("role_id", flat=True).first()


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a worker needs to run a turn.

    Attributes:
        text: What the user typed; empty for a spoken message.
        spoken: The message is audio.
        audio: Of a spoken message, its name in storage or a foreign URL.
        role: With the fields that a prompt and a voice are made from; others are fetched
            when they are looked at.
        user_name: The user's.
        summary: Of what was said before the history.
        history: (author, text), oldest first.
    """

    text: str
    spoken: bool
    audio: str
    role: Role
    user_name: str
    summary: str
    history: list[tuple[str, str]]


ROLE_FIELDS = (
    *("id", "name", "description", "gender", "age", "voice_type", "language"),
    *("personality", "scenario", "greeting", "example_dialogue", "lorebook"),
)


def _summary_of_turn(name: str) -> Subquery:
    newest = Summary.objects.filter(conversation_id=OuterRef("conversation_id")).order_by("-id")
    return Subquery(newest.values(name)[:1])


_context = Prepared(
    lambda: Turn.objects.filter(pk=argument("turn_id")).values_list(
        *("request__text", "request__modality", "request__audio_url"),
        *("request__audio__token", "request__audio__extension", "user__username"),
        *(_summary_of_turn("text"), _summary_of_turn("through_id")),
        *(f"conversation__role__{name}" for name in ROLE_FIELDS),
    )
)


def turn_context(*, turn: ClaimedTurn) -> TurnContext:
    """Role, summary and what was said since, without the turn's own message.

    The history begins where the summary ends: no hole, no overlap. Raises
    Turn.DoesNotExist (its conversation was deleted).
    """
    row = _context.first(turn_id=turn.pk)
    if row is None:
        raise Turn.DoesNotExist
    text, modality, url, token, extension, user_name, summary, through, *role = row
    return TurnContext(
        text=text,
        spoken=modality == Modality.VOICE,
        audio=AudioFile(token=token, extension=extension).name if token else url,
        role=Role.from_db(DEFAULT_DB_ALIAS, ROLE_FIELDS, role),
        user_name=user_name,
        summary=summary or "",
        history=history_since(
            conversation_id=turn.conversation_id, after=through or 0, request_id=turn.request_id
        ),
    )


_summary = Prepared(
    lambda: (
        Summary.objects.filter(conversation=argument("conversation_id"))
        .order_by("-id")
        .values_list("text", "through_id")[:1]
    )
)


def latest_summary(*, conversation_id: int) -> tuple[str, int]:
    """The summary that counts, and the id of the last message in it; empty and 0 for none."""
    return _summary.first(conversation_id=conversation_id) or ("", 0)


_history = Prepared(
    lambda: (
        Message.objects.filter(conversation=argument("conversation_id"), pk__gt=argument("after"))
        .exclude(text="")
        .exclude(author=Author.USER, pk__gte=argument("request_id"))
        .order_by("-id")
        .values_list("id", "author", "text", "reply_of__request_id")[:HISTORY_ROWS]
    )
)


def history_since(
    *, conversation_id: int, after: int, request_id: int = _END
) -> list[tuple[str, str]]:
    """(author, text) of what was said between a summary and a request, oldest first.

    Messages may have come while an earlier one was being answered: a reply stands behind
    its own request, and what was said later than ``request_id`` is left out, as are empty
    messages.
    """
    rows = _history.rows(conversation_id=conversation_id, after=after, request_id=request_id)
    rows.sort(key=lambda row: (row[3] or row[0], row[0]))
    return [(author, text) for _id, author, text, _request in rows]


def _said_between() -> QuerySet[Message, Message]:
    return Message.objects.filter(
        conversation=argument("conversation_id"),
        pk__gt=argument("after"),
        pk__lt=argument("before"),
    ).exclude(text="")


_newest_ids = Prepared(lambda: _said_between().order_by("-id").values_list("id")[:HISTORY_ROWS])
_oldest = Prepared(
    lambda: _said_between().order_by("id").values_list("id", "author", "text")[:HISTORY_ROWS]
)


def unsummarised(*, conversation_id: int, kept: int) -> list[dict[str, Any]]:
    """What no summary covers yet, oldest first, without the newest ``kept`` messages.

    At most HISTORY_ROWS of it: what lies behind them is for the summary after.
    """
    _text, through = latest_summary(conversation_id=conversation_id)
    newest = _newest_ids.rows(conversation_id=conversation_id, after=through, before=_END)
    if len(newest) < kept:
        return []
    rows = _oldest.rows(conversation_id=conversation_id, after=through, before=newest[kept - 1][0])
    return [{"id": id_, "author": author, "text": text} for id_, author, text in rows]


def open_turns(*, before: datetime) -> list[Turn]:
    """Turns of anybody that have not ended, made before a moment; for the sweep alone."""
    states = (TurnState.QUEUED, TurnState.RUNNING)
    return list(Turn.objects.filter(state__in=states, created_at__lt=before).order_by("pk")[:500])
