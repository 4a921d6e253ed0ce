"""Summaries: what a conversation was about before the window of recent messages.

A summary is written in the background once enough was said since the last one. It covers
all messages up to one of them, and the prompt's history begins right behind it.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError

from accounts.database import in_database_thread
from chat import providers, selectors, services
from chat.dispatching import hand_over_soon
from chat.llm.base import Prompt, PromptMessage, TextDelta
from chat.llm.tokens import estimate_tokens
from chat.models import Conversation
from roles.models import Language
from voice.attempts import collected
from voice.errors import ProviderError

logger = structlog.get_logger(__name__)

# Messages that stay in the history word for word.
KEPT_MESSAGES = 16
# A summary is due when what lies before those takes this part of the context window …
_DUE_SHARE = 0.35
# … or is so many messages.
_DUE_MESSAGES = 60
SUMMARY_TOKENS = 400

_ASK = {
    Language.CHINESE: (
        "你是对话记录员。把下面{name}与用户的对话（以及已有的摘要）合成一份新摘要，不超过200字。"
        "保留：用户的名字、身份、喜好、经历、约定和未了的事，以及两人关系的变化。"
        "只写对话里出现过的事，新的说法取代旧的说法。只输出摘要。"
    ),
    Language.ENGLISH: (
        "You keep the record of a conversation. Merge the talk between {name} and the user (and"
        " the summary so far) into one new summary of at most 150 words. Keep the user's name,"
        " circumstances, likes, experiences, promises and open matters, and how the two stand"
        " to each other. Write only what was said; a newer statement replaces an older one."
        " Answer with the summary alone."
    ),
}


class SummaryFailed(Exception):
    """The model gave none; asking again later may help."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What a new summary is made from."""

    user_id: int
    name: str
    language: Language
    before: str
    messages: list[tuple[str, str]]
    through: int


def summary_request(*, conversation_id: int) -> bool:
    """Have a summary queued where one is due; returns whether it is.

    For a thread of the database, which does not wait for the broker. One that cannot be
    queued is due again with the next reply.
    """
    # Tasks import this module.
    from chat.tasks import update_summary

    rows = selectors.unsummarised(conversation_id=conversation_id, kept=KEPT_MESSAGES)
    if not _due(rows):
        return False
    hand_over_soon(update_summary, conversation_id)
    return True


def _due(rows: list[dict[str, Any]]) -> bool:
    tokens = sum(estimate_tokens(row["text"]) for row in rows)
    return len(rows) >= _DUE_MESSAGES or tokens > settings.LLM_CONTEXT_TOKENS * _DUE_SHARE


async def summary_update(*, conversation_id: int) -> bool:
    """Write the summary that is due; doing it twice changes nothing.

    Returns:
        Whether a new one was stored.

    Raises:
        SummaryFailed: The model failed or wrote nothing.
    """
    work = await in_database_thread(_work, conversation_id)
    if work is None:
        return False
    llm = providers.current().llm
    if llm.capabilities.offline:
        text = _extract(work)
    else:
        try:
            text = await _write_down(conversation_id, work)
        except ProviderError as error:
            raise SummaryFailed(str(error)) from error
    if not text:
        raise SummaryFailed("empty")
    await in_database_thread(
        services.summary_store, conversation_id=conversation_id, text=text, through=work.through
    )
    return True


def _work(conversation_id: int) -> _Work | None:
    conversation = Conversation.objects.select_related("role").filter(pk=conversation_id).first()
    rows = selectors.unsummarised(conversation_id=conversation_id, kept=KEPT_MESSAGES)
    if conversation is None or not _due(rows):
        return None
    before, _through = selectors.latest_summary(conversation_id=conversation_id)
    return _Work(
        user_id=conversation.user_id,
        name=conversation.role.name,
        language=Language(conversation.role.language),
        before=before,
        messages=[(row["author"], row["text"]) for row in rows],
        through=rows[-1]["id"],
    )


async def _write_down(conversation_id: int, work: _Work) -> str:
    """What the model writes; what it was asked for goes into the ledger, failed or not."""
    with collected() as attempts:
        try:
            return await _write(work)
        finally:
            try:
                await in_database_thread(
                    services.usage_store,
                    user_id=work.user_id,
                    conversation_id=conversation_id,
                    attempts=attempts,
                )
            except DatabaseError:
                logger.exception("usage could not be stored")


async def _write(work: _Work) -> str:
    lines = [f"{_speaker(work, author)}: {text}" for author, text in work.messages]
    record = "\n".join(([f"[{work.before}]"] if work.before else []) + lines)
    prompt = Prompt(
        (
            PromptMessage("system", _ASK[work.language].format(name=work.name)),
            PromptMessage("user", record),
        )
    )
    pieces = [
        item.text
        async for item in providers.current().llm.stream(
            prompt, max_tokens=SUMMARY_TOKENS, temperature=0.2
        )
        if isinstance(item, TextDelta)
    ]
    return "".join(pieces).strip()


def _extract(work: _Work) -> str:
    """Without a model: the newest of the user's own words that fit, under the old summary."""
    room = SUMMARY_TOKENS
    kept: list[str] = []
    said = work.before.splitlines() + [
        f"- {text.splitlines()[0][:120]}" for author, text in work.messages if author == "user"
    ]
    for line in reversed(said):
        room -= estimate_tokens(line)
        if room < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept)) or "-"


def _speaker(work: _Work, author: str) -> str:
    if author == "assistant":
        return work.name
    return "用户" if work.language is Language.CHINESE else "User"
