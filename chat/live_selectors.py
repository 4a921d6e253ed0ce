"""What a spoken session begins with."""

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from accounts.prepared import Prepared, argument
from chat import selectors
from chat.models import Author, Conversation, new_public_id
from chat.selectors import ROLE_FIELDS
from chat.services import ConversationNotFound, RoleNotFound
from roles.models import Role


@dataclass(frozen=True, slots=True)
class Opening:
    """Who answers, and what was said before.

    Attributes:
        role: With the fields that a prompt and a voice are made from; others are fetched
            when they are looked at.
        user_name: The user's.
        summary: Of what was said before the history.
        history: (author, text), oldest first. Of a new conversation the greeting.
        conversation_id: None for a new one, which is stored when somebody speaks
            (``live_services.conversation_open``).
        public_id: What the client may come back with; a new one has its own already.
    """

    role: Role
    user_name: str
    summary: str
    history: list[tuple[str, str]]
    conversation_id: int | None
    public_id: str


_CONVERSATION_FIELDS = (
    *("id", "public_id", "role__deleted_at"),
    *(f"role__{name}" for name in ROLE_FIELDS),
)

_by_public_id = Prepared(
    lambda: Conversation.objects.filter(
        user=argument("user_id"), public_id=argument("public_id")
    ).values_list(*_CONVERSATION_FIELDS)
)
_by_id = Prepared(
    lambda: Conversation.objects.filter(
        user=argument("user_id"), pk=argument("conversation_id")
    ).values_list(*_CONVERSATION_FIELDS)
)
_role = Prepared(
    lambda: Role.objects.present().filter(pk=argument("role_id")).values_list(*ROLE_FIELDS)
)


def opening(
    *,
    user: User,
    role_id: int | None,
    public_id: str = "",
    conversation_id: int | None = None,
) -> Opening:
    """What a session begins with: a conversation that goes on, or a new one.

    Args:
        user: Whose it is.
        role_id: Who shall answer; None takes the conversation's own.
        public_id: Of a conversation that goes on; empty for none.
        conversation_id: The same, as REST shows it; None for none.

    Raises:
        ConversationNotFound: It is not this user's, or with another role.
        RoleNotFound: No role was named, or it is gone.
    """
    if conversation_id is not None:
        row = _by_id.first(user_id=user.pk, conversation_id=conversation_id)
    elif public_id:
        row = _by_public_id.first(user_id=user.pk, public_id=public_id)
    else:
        return _new(user, role_id)
    if row is None:
        raise ConversationNotFound
    found, public_id, role_deleted_at, *fields = row
    role = Role.from_db(DEFAULT_DB_ALIAS, ROLE_FIELDS, fields)
    if role_id is not None and role_id != role.pk:
        raise ConversationNotFound
    if role_deleted_at is not None:
        raise RoleNotFound
    summary, through = selectors.latest_summary(conversation_id=found)
    return Opening(
        role=role,
        user_name=user.username,
        summary=summary,
        history=selectors.history_since(conversation_id=found, after=through),
        conversation_id=found,
        public_id=public_id,
    )


def _new(user: User, role_id: int | None) -> Opening:
    row = _role.first(role_id=role_id) if role_id is not None else None
    if row is None:
        raise RoleNotFound
    role = Role.from_db(DEFAULT_DB_ALIAS, ROLE_FIELDS, row)
    greeting = selectors.first_words(role=role, user_name=user.username)
    return Opening(
        role=role,
        user_name=user.username,
        summary="",
        history=[(Author.ASSISTANT.value, greeting)] if greeting else [],
        conversation_id=None,
        public_id=new_public_id(),
    )
