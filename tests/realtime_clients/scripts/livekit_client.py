"""LiveKit's OpenAI plugin: its realtime session, used as an agent uses it, outside of a room."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, function_tool, llm
from livekit.plugins.openai import realtime
from stage import run, until

RATE = 24_000
BLOCK = RATE // 25 * 2  # 40 ms


class _Complaints(logging.Handler):
    """What the plugin logs as an error: events that it could not handle are among it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        trace = record.exc_info[1] if record.exc_info else None
        self.told.append(f"{record.getMessage()} {trace or ''}".strip())


class Talk:
    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        base_url: str,
        api_key: str,
        model: str,
        **settings: Any,
    ) -> None:
        self.model = realtime.RealtimeModel(
            base_url=base_url,
            api_key=api_key,
            model=model,
            http_session=http,
            conn_options=APIConnectOptions(max_retry=0),
            **settings,
        )
        self.session = self.model.session()
        self.generations: list[llm.GenerationCreatedEvent] = []
        self.errors: list[str] = []
        self.transcripts: list[str] = []
        self.speech_started = 0
        self.server_events: list[dict[str, Any]] = []
        self.session.on("generation_created", self.generations.append)
        self.session.on("error", lambda told: self.errors.append(repr(told.error)))
        self.session.on("input_audio_transcription_completed", self._transcribed)
        self.session.on("input_speech_started", self._started)
        self.session.on("openai_server_event_received", self.server_events.append)

    def _started(self, _event: llm.InputSpeechStartedEvent) -> None:
        self.speech_started += 1

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.transcripts.append(event.transcript)

    async def write(self, text: str) -> None:
        """A message of the user, put behind all that the session knows."""
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)

    async def speak(self, path: str) -> None:
        pcm = Path(path).read_bytes()
        for at in range(0, len(pcm), BLOCK):
            block = pcm[at : at + BLOCK]
            self.session.push_audio(rtc.AudioFrame(block, RATE, 1, len(block) // 2))
            await asyncio.sleep(len(block) / 2 / RATE)

    async def generation(self, number: int) -> llm.GenerationCreatedEvent:
        await until(lambda: len(self.generations) > number, 30, f"a generation; {self.told()}")
        return self.generations[number]

    def told(self) -> str:
        return f"{[event['type'] for event in self.server_events]} {self.errors}"

    async def ended(self, count: int = 1) -> None:
        def done() -> bool:
            kinds = [event["type"] for event in self.server_events]
            return kinds.count("response.done") >= count

        await until(done, 30, f"{count} responses; {self.told()}")


async def received(generation: llm.GenerationCreatedEvent) -> dict[str, Any]:
    """All of a reply."""
    found: dict[str, Any] = {"text": "", "seconds": 0.0, "messages": [], "calls": []}

    async def texts(message: llm.MessageGeneration) -> None:
        async for piece in message.text_stream:
            found["text"] += piece

    async def audio(message: llm.MessageGeneration) -> None:
        async for frame in message.audio_stream:
            found["seconds"] += frame.duration

    async for message in generation.message_stream:
        found["messages"].append(message.message_id)
        await asyncio.gather(texts(message), audio(message))
    async for call in generation.function_stream:
        found["calls"].append(
            {"name": call.name, "arguments": call.arguments, "call_id": call.call_id}
        )
    return found


@asynccontextmanager
async def talking(options: dict[str, Any], **settings: Any) -> AsyncIterator[Talk]:
    complaints = _Complaints()
    logger = logging.getLogger("livekit")
    logger.addHandler(complaints)
    async with aiohttp.ClientSession() as http:
        talk = Talk(http, **options, **settings)
        try:
            yield talk
        finally:
            await talk.session.aclose()
            logger.removeHandler(complaints)
            talk.errors += complaints.told


async def text(options: dict[str, Any], asked: str) -> dict[str, Any]:
    async with talking(options) as talk:
        await talk.write(asked)
        reply = await received(await talk.session.generate_reply())
        await talk.ended()
    return {**reply, "errors": talk.errors, "context": len(talk.session.chat_ctx.items)}


async def written(options: dict[str, Any], asked: str) -> dict[str, Any]:
    """In text alone, with instructions for one reply."""
    async with talking(options, modalities=["text"]) as talk:
        await talk.session.update_instructions("一句话。")
        await talk.write(asked)
        reply = await received(await talk.session.generate_reply(instructions="文言。"))
        await talk.ended()
    return {**reply, "errors": talk.errors}


async def spoken(options: dict[str, Any], path: str) -> dict[str, Any]:
    """By its own default, semantic_vad."""
    async with talking(options) as talk:
        await talk.speak(path)
        reply = await received(await talk.generation(0))
        await talk.ended()
    return {**reply, "errors": talk.errors, "transcripts": talk.transcripts}


async def interrupted(options: dict[str, Any], path: str) -> dict[str, Any]:
    async with talking(options) as talk:
        await talk.write("讲个故事")
        first = asyncio.create_task(received(await talk.session.generate_reply()))

        def item() -> str | None:
            heard = [e for e in talk.server_events if e["type"] == "response.output_audio.delta"]
            return heard[0]["item_id"] if heard else None

        message_id = await until(item)
        await asyncio.sleep(1.0)
        speaking = asyncio.create_task(talk.speak(path))
        await until(lambda: talk.speech_started)
        talk.session.interrupt()
        talk.session.truncate(
            message_id=message_id, modalities=["audio", "text"], audio_end_ms=1_200
        )
        cut = await first
        await speaking
        reply = await received(await talk.generation(1))
        await talk.ended(2)
    return {"cut": cut, "reply": reply, "errors": talk.errors}


async def called(options: dict[str, Any], tool: dict[str, Any]) -> dict[str, Any]:
    @function_tool(name=tool["name"], description=tool["description"])
    async def weather(city: str) -> str:
        return city

    async with talking(options) as talk:
        await talk.session.update_tools([weather])
        await talk.write("赤壁天气如何？")
        reply = await received(await talk.session.generate_reply())
        (call,) = reply["calls"]
        context = talk.session.chat_ctx.copy()
        context.items.append(
            llm.FunctionCallOutput(
                call_id=call["call_id"], name=call["name"], output="东风", is_error=False
            )
        )
        await talk.session.update_chat_ctx(context)
        answer = await received(await talk.session.generate_reply())
        await talk.ended(2)
    return {"call": call, "answer": answer, "errors": talk.errors}


async def abandoned(options: dict[str, Any]) -> dict[str, Any]:
    """A reply is asked for, and not wanted any more before it has begun."""
    async with talking(options) as talk:
        await talk.write("讲个故事")
        unwanted = talk.session.generate_reply()
        await asyncio.sleep(0)
        unwanted.cancel()
        await talk.ended(1)
        reply = await received(await talk.session.generate_reply())
        await talk.ended(2)
    return {**reply, "errors": talk.errors}


async def by_hand(options: dict[str, Any], path: str) -> dict[str, Any]:
    async with talking(options, turn_detection=None) as talk:
        await talk.speak(path)
        talk.session.commit_audio()
        reply = await received(await talk.session.generate_reply())
        await talk.ended()
        await until(lambda: talk.transcripts)
    return {**reply, "errors": talk.errors, "transcripts": talk.transcripts}


async def refused(options: dict[str, Any]) -> list[str]:
    async with aiohttp.ClientSession() as http:
        talk = Talk(http, **options)
        errors = await until(lambda: talk.errors)
        cause = (await asyncio.gather(talk.session._main_atask, return_exceptions=True))[0]
    return [*errors, repr(getattr(cause, "__cause__", None))]


run(text, written, spoken, interrupted, called, abandoned, by_hand, refused)
