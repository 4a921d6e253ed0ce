"""A reply as the session plans it, made into an order for the engine."""

import asyncio

from django.conf import settings

from accounts.database import in_database_thread
from chat.engine.order import ReplyOrder
from chat.engine.stages import Deadlines
from chat.live_selectors import Opening
from chat.llm.base import Prompt
from chat.prompt import PromptBuilder
from realtime.effects import ReplyPlan
from roles.models import Role
from voice import catalogue, speech
from voice.tts.base import VoiceRef

# Characters of a conversation whose tokens take longer to count than the event loop may wait.
_LONG = 30_000


class ReplyOrders:
    """Knows the roles that play in one session, and what was said before it.

    Args:
        opening: Of the session; None where nobody answers.
    """

    def __init__(self, opening: Opening | None) -> None:
        self._opening = opening
        self._roles: dict[int, Role] = {opening.role.pk: opening.role} if opening else {}
        history = opening.history if opening else []
        self._length_before = sum(len(text) for _author, text in history)
        self._voices: dict[tuple[str, str], VoiceRef] = {}

    def add(self, role: Role) -> None:
        """One more character plays."""
        self._roles[role.pk] = role

    async def order(self, plan: ReplyPlan) -> ReplyOrder:
        """What the engine is asked for.

        Raises:
            VoiceNotServed: Nobody speaks.
        """
        voice = await self._voice(plan.voice, plan.character.language) if plan.voice else None
        max_tokens = min(plan.max_tokens or settings.LLM_MAX_TOKENS, settings.LLM_MAX_TOKENS)
        prompt = await self._prompt(plan, max_tokens) if plan.write else None
        temperature = plan.temperature
        return ReplyOrder(
            prompt=prompt,
            voice=voice,
            language=plan.character.language,
            speed=plan.speed,
            max_tokens=max_tokens,
            temperature=settings.LLM_TEMPERATURE if temperature is None else temperature,
            preface=plan.preface,
            deadlines=Deadlines(llm_first=settings.LLM_FIRST_SECONDS + 1),
        )

    async def _prompt(self, plan: ReplyPlan, max_tokens: int) -> Prompt:
        # Going to a thread and back costs more than a prompt of usual length.
        said = sum(len(message.content) for message in plan.messages)
        if said + self._length_before > _LONG:
            return await asyncio.to_thread(self._build, plan, max_tokens)
        return self._build(plan, max_tokens)

    def _build(self, plan: ReplyPlan, max_tokens: int) -> Prompt:
        assert self._opening is not None
        role = self._roles[plan.character.role_id]
        # What was said with one character is nothing that another knows.
        before = plan.history and role.pk == self._opening.role.pk
        return PromptBuilder(
            role=role,
            user_name=self._opening.user_name,
            summary=self._opening.summary if before else "",
            history=self._opening.history if before else [],
            budget=settings.LLM_CONTEXT_TOKENS - max_tokens,
        ).build_talk(
            plan.messages,
            instructions=plan.instructions,
            tools=plan.tools,
            tool_choice=plan.tool_choice,
            replace=settings.REALTIME_INSTRUCTIONS == "replace",
        )

    async def _voice(self, name: str, language: str) -> VoiceRef:
        known = self._voices.get((name, language))
        if known is None:
            known = await in_database_thread(_resolve, name, language)
            self._voices[name, language] = known
        return known


def _resolve(name: str, language: str) -> VoiceRef:
    entry = catalogue.find(name)
    return catalogue.resolve(
        entry.voice_type if entry else name, speech.tts_names(), language=language
    )
