"""The worker: one event loop a process, many turns at once.

Celery's threads only wait for what runs here. The engine's deadlines and the bus's
cancels replace Celery's time limits and revoke, which a threads pool does not have.
"""

import asyncio
import os
import platform
import uuid
from functools import partial

import structlog
from django.conf import settings

from accounts.database import in_database_thread, persistently
from chat import memory, metrics, providers, selectors, services
from chat.bus.base import BusUnavailable, TurnBus
from chat.engine.events import AudioReady, Event, TextReady, TranscriptReady, TurnFailed
from chat.engine.stages import Deadlines
from chat.engine.turn import TurnRun, TurnSpec
from chat.failures import audio_failure
from chat.live_worker import LiveService
from chat.models import Modality
from chat.prompt import PromptBuilder
from chat.publisher import Publisher
from chat.selectors import ClaimedTurn, TurnContext
from uploads.sources import ClipError, load_clip
from voice import apology, speech
from voice.attempts import Attempt, collected
from voice.catalogue import VoiceNotServed, resolve
from voice.tts.base import VoiceRef

logger = structlog.get_logger(__name__)


class Worker:
    """Runs turns. Belongs to the event loop it was made in.

    Args:
        bus: Where the events go, and cancels come from.
        name: Unique among all workers of the installation.
    """

    def __init__(self, bus: TurnBus, name: str = "") -> None:
        self.bus = bus
        self.name = name or f"{platform.node()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._running: dict[int, asyncio.Task[None]] = {}
        self._live: set[asyncio.Task[None]] = set()
        self._serving = asyncio.create_task(bus.serve(self.name, self._on_cancel))

    def _on_cancel(self, turn_id: int) -> None:
        if task := self._running.get(turn_id):
            task.cancel()

    async def run(self, turn_id: int) -> None:
        """Run a queued turn to its end, whatever end that is.

        Does nothing for a turn that somebody else claimed or that has ended. The reply is
        stored first, then ``ended`` is published.
        """
        turn = await persistently(services.turn_claim, turn_id=turn_id, worker=self.name)
        if turn is None:
            return
        structlog.contextvars.bind_contextvars(turn_id=turn_id)
        publisher = Publisher(self.bus, turn_id, turn.attempt)
        await publisher.send("started", self.name)
        # The engine's task takes the list over with the context, and is waited for.
        with metrics.running(), collected() as attempts:
            spoke: tuple[VoiceRef, str] | None = None
            try:
                spoke = await self._run(turn, publisher)
            finally:
                await publisher.finish()
        await self._afterwards(turn, attempts)
        if spoke:
            await apology.keep(*spoke)

    async def _run(self, turn: ClaimedTurn, publisher: Publisher) -> tuple[VoiceRef, str] | None:
        """Run a claimed turn; returns voice and language where a voice did all of its work."""
        try:
            context, voice = await persistently(_prepare, turn=turn)
        except TurnFailed as error:
            await self._fail(turn, error, {})
            return None
        except Exception:
            logger.exception("turn could not be prepared")
            await self._fail(turn, TurnFailed("turn", "internal"), {})
            return None
        engine = _engine(turn, context, voice, publisher)
        # The engine runs in a task of its own, so that a cancel ends it and nothing else.
        task = self._running[turn.pk] = asyncio.create_task(engine.execute())
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The process ends: what was said so far is kept.
            task.cancel()
            await asyncio.wait({task})
        finally:
            del self._running[turn.pk]
        cause = None if task.cancelled() else task.exception()
        if cause is None:
            await self._complete(turn, engine, cancelled=task.cancelled())
        elif isinstance(cause, TurnFailed):
            logger.warning("turn failed", stage=cause.stage, reason=cause.reason, why=cause.detail)
            await self._fail(turn, cause, engine.timings)
        else:
            logger.error("turn broke", exc_info=cause)
            await self._fail(turn, TurnFailed("turn", "internal"), engine.timings)
        if voice is None or cause is not None or task.cancelled():
            return None
        return voice, context.role.language

    async def _complete(self, turn: ClaimedTurn, engine: TurnRun, *, cancelled: bool) -> None:
        # A call that is cut off keeps what was heard; in a chat all text was read.
        by_ear = cancelled and turn.channel == "voice_chat"
        ended = await persistently(
            services.turn_complete,
            turn=turn,
            text=engine.heard_text() if by_ear else engine.text,
            full_text=engine.text if by_ear else "",
            audio=bytes(engine.audio),
            audio_seconds=engine.audio_seconds,
            timings=engine.timings,
            cancelled=cancelled,
        )
        logger.info("turn ended", cancelled=cancelled, stored=ended, **engine.timings)

    async def _fail(self, turn: ClaimedTurn, error: TurnFailed, timings: dict[str, float]) -> None:
        await persistently(
            services.turn_fail,
            turn_id=turn.pk,
            stage=error.stage,
            reason=error.reason,
            attempt=turn.attempt,
            timings=timings,
        )

    async def _afterwards(self, turn: ClaimedTurn, attempts: list[Attempt]) -> None:
        """Write down or hand over what may be done later; the turn has ended already."""
        try:
            await in_database_thread(
                services.usage_store,
                user_id=turn.user_id,
                conversation_id=turn.conversation_id,
                attempts=attempts,
            )
        except Exception:
            logger.exception("usage could not be stored")
        try:
            await in_database_thread(memory.summary_request, conversation_id=turn.conversation_id)
        except Exception:
            logger.exception("summary could not be requested")

    async def run_live(self, key: str, *, user_id: int, key_id: int | None) -> None:
        """Serve a live turn until its session closes it; see ``LiveService``.

        Does nothing for one that somebody else claimed.
        """
        try:
            if not await self.bus.claim(key, self.name):
                return
        except BusUnavailable as error:
            logger.warning("live turn not claimed", turn=key, why=str(error))
            return
        service = LiveService(self.bus, key, worker=self.name, user_id=user_id, key_id=key_id)
        task = asyncio.create_task(service.run())
        self._live.add(task)
        try:
            await task
        finally:
            self._live.discard(task)

    async def drain(self, seconds: float) -> None:
        """Wait until the running turns have ended, but not for longer than ``seconds``."""
        tasks = [*self._running.values(), *self._live]
        if tasks:
            logger.info("waiting for turns to end", turns=len(tasks))
            await asyncio.wait(tasks, timeout=seconds)

    async def aclose(self) -> None:
        """Stop serving; running turns are not waited for (see ``drain``)."""
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)


def _prepare(*, turn: ClaimedTurn) -> tuple[TurnContext, VoiceRef | None]:
    """What the turn needs from the database. Raises TurnFailed."""
    context = selectors.turn_context(turn=turn)
    if turn.reply_modality != Modality.VOICE:
        return context, None
    role = context.role
    try:
        return context, resolve(role.voice_type, speech.tts_names(), language=role.language)
    except VoiceNotServed as error:
        raise TurnFailed("tts", "unavailable", str(error)) from error


def _engine(
    turn: ClaimedTurn, context: TurnContext, voice: VoiceRef | None, publisher: Publisher
) -> TurnRun:
    role = context.role
    builder = PromptBuilder(
        role=role,
        user_name=context.user_name,
        summary=context.summary,
        history=context.history,
        budget=settings.LLM_CONTEXT_TOKENS - settings.LLM_MAX_TOKENS,
    )
    spec = TurnSpec(
        context=builder.build,
        text=context.text,
        spoken=context.spoken,
        language=role.language,
        voice=voice,
        max_tokens=settings.LLM_MAX_TOKENS,
        temperature=settings.LLM_TEMPERATURE,
        deadlines=Deadlines(llm_first=settings.LLM_FIRST_SECONDS + 1),
        apology=partial(apology.recall, voice, role.language) if voice else None,
    )

    async def load_audio() -> bytes:
        try:
            clip = await load_clip(context.audio)
        except ClipError as error:
            raise audio_failure(error) from error
        return clip.pcm

    async def emit(event: Event) -> None:
        match event:
            case TranscriptReady(text):
                await publisher.send("transcript", text)
                await persistently(services.transcript_store, message_id=turn.request_id, text=text)
            case TextReady(text):
                await publisher.send("text", text)
            case AudioReady(data):
                await publisher.send("audio", data)

    return TurnRun(spec, providers.current(), load_audio=load_audio, emit=emit)
