"""pipecat: its OpenAI realtime service in a pipeline of its own frames and aggregators."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from stage import run, until

RATE = 24_000
BLOCK = RATE // 25 * 2  # 40 ms
logger.remove()
logger.add(sys.stderr, level="INFO")


class Loudspeaker(BaseOutputTransport):
    """Plays in real time to nobody."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE))
        self.played = 0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await asyncio.sleep(len(frame.audio) / 2 / RATE)
        self.played += len(frame.audio)
        return True


class Watcher(BaseObserver):
    """Counts what passes through the pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, str] = {}
        self.errors: list[str] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        frame: Frame = data.frame
        if frame.id not in self.seen and isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        self.seen[frame.id] = type(frame).__name__

    def count(self, kind: type[Frame]) -> int:
        return list(self.seen.values()).count(kind.__name__)


class Talk:
    def __init__(
        self,
        url: str,
        api_key: str,
        model: str,
        asked: str = "",
        tools: list[FunctionSchema] | None = None,
        properties: events.SessionProperties | None = None,
    ) -> None:
        self.llm = OpenAIRealtimeLLMService(
            api_key=api_key,
            base_url=url,
            settings=OpenAIRealtimeLLMService.Settings(
                model=model, session_properties=properties or hearing()
            ),
        )
        messages: Any = [{"role": "user", "content": asked}] if asked else []
        schema = {"tools": ToolsSchema(standard_tools=tools)} if tools else {}
        self.context = LLMContext(messages, **schema)
        aggregators = LLMContextAggregatorPair(self.context)
        self.loudspeaker, self.watcher = Loudspeaker(), Watcher()
        self.updated: list[Any] = []
        self.created: list[str] = []
        stages = [aggregators.user(), self.llm, self.loudspeaker, aggregators.assistant()]
        self.worker = PipelineWorker(
            Pipeline(stages),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            observers=[self.watcher],
            enable_rtvi=False,
        )

        @self.llm.event_handler("on_conversation_item_created")
        async def _created(_service: Any, item_id: str, _item: Any) -> None:
            self.created.append(item_id)

    def said(self, role: str) -> list[str]:
        """What the context holds of that role."""
        return [
            message["content"]
            for message in self.context.get_messages()
            if isinstance(message, dict) and message["role"] == role and message.get("content")
        ]

    async def speak(self, path: str) -> None:
        pcm = Path(path).read_bytes()
        for at in range(0, len(pcm), BLOCK):
            block = pcm[at : at + BLOCK]
            frame = InputAudioRawFrame(audio=block, sample_rate=RATE, num_channels=1)
            await self.worker.queue_frame(frame)
            await asyncio.sleep(len(block) / 2 / RATE)

    async def answered(self, count: int) -> None:
        await until(lambda: len(self.said("assistant")) >= count, 30, self.told())

    def told(self) -> str:
        return json.dumps([self.context.get_messages(), self.watcher.errors], ensure_ascii=False)

    def found(self) -> dict[str, Any]:
        return {
            "user": self.said("user"),
            "assistant": self.said("assistant"),
            "played": self.loudspeaker.played / 2 / RATE,
            "errors": self.watcher.errors,
        }


def hearing(detection: Any = None) -> events.SessionProperties:
    """Server VAD, and a transcript of what was heard."""
    if detection is None:
        detection = events.TurnDetection(silence_duration_ms=300)
    heard = events.AudioInput(
        transcription=events.InputAudioTranscription(model="whisper-1"), turn_detection=detection
    )
    return events.SessionProperties(audio=events.AudioConfiguration(input=heard))


@asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[Talk]:
    talk = Talk(**options)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(talk.worker)
    running = asyncio.create_task(runner.run())
    try:
        yield talk
    finally:
        await talk.worker.cancel()
        await running


async def text(options: dict[str, Any], asked: str) -> dict[str, Any]:
    async with talking(**options, asked=asked) as talk:
        await talk.worker.queue_frame(LLMRunFrame())
        await talk.answered(1)
        return talk.found()


async def spoken(options: dict[str, Any], path: str) -> dict[str, Any]:
    async with talking(**options) as talk:
        await until(lambda: talk.llm._api_session_ready)
        await talk.speak(path)
        await talk.answered(1)
        return talk.found()


async def by_its_defaults(options: dict[str, Any], path: str) -> dict[str, Any]:
    """Without any session properties; nothing is transcribed then."""
    async with talking(**options, properties=events.SessionProperties()) as talk:
        await until(lambda: talk.llm._api_session_ready)
        await talk.speak(path)
        await talk.answered(1)
        return talk.found()


async def interrupted(options: dict[str, Any], path: str) -> dict[str, Any]:
    async with talking(**options, asked="讲个故事") as talk:
        await talk.worker.queue_frame(LLMRunFrame())
        await until(lambda: talk.loudspeaker.played > RATE * 2, 30, talk.told())
        # Text that is between two of pipecat's processors when it is interrupted is put before
        # the next reply: speak where a sentence has just come, seconds before the one behind it.
        sentences = talk.watcher.count(TTSTextFrame)
        await until(lambda: talk.watcher.count(TTSTextFrame) > sentences, 30, talk.told())
        await talk.speak(path)
        await talk.answered(2)
        return {**talk.found(), "interruptions": talk.watcher.count(InterruptionFrame)}


async def by_hand(options: dict[str, Any], path: str) -> dict[str, Any]:
    """Turns are taken by the client; the server detects none."""
    async with talking(**options, properties=hearing(detection=False)) as talk:
        await until(lambda: talk.llm._api_session_ready)
        await talk.worker.queue_frames([UserStartedSpeakingFrame(), InterruptionFrame()])
        await asyncio.sleep(0.1)
        await talk.speak(path)
        await talk.worker.queue_frame(UserStoppedSpeakingFrame())
        await until(lambda: talk.watcher.count(TTSStoppedFrame), 30, talk.told())
        return {**talk.found()}


async def called(options: dict[str, Any], tool: dict[str, Any]) -> dict[str, Any]:
    schema = FunctionSchema(
        name=tool["name"],
        description=tool["description"],
        properties=tool["parameters"]["properties"],
        required=tool["parameters"]["required"],
    )
    arguments: list[Any] = []

    async def weather(params: FunctionCallParams) -> None:
        arguments.append(params.arguments)
        await params.result_callback({"wind": "东风"})

    async with talking(**options, asked="赤壁天气如何？", tools=[schema]) as talk:
        talk.llm.register_function(tool["name"], weather)
        await talk.worker.queue_frame(LLMRunFrame())
        await talk.answered(1)
        return {**talk.found(), "arguments": arguments}


async def retrieved(options: dict[str, Any], asked: str) -> dict[str, Any]:
    async with talking(**options, asked=asked) as talk:
        await talk.worker.queue_frame(LLMRunFrame())
        await talk.answered(1)
        item = await talk.llm.retrieve_conversation_item(talk.created[-1])
        try:
            await talk.llm.retrieve_conversation_item("item_none")
            unknown = ""
        except Exception as error:
            unknown = str(error)
        return {
            **talk.found(),
            "transcript": item.content[0].transcript,
            "role": item.role,
            "unknown": unknown,
        }


async def refused(options: dict[str, Any]) -> list[str]:
    async with talking(**options) as talk:
        await until(lambda: talk.watcher.errors)
        return talk.watcher.errors


async def parsed(frames: list[str]) -> list[str]:
    """What the service's own types do not take, with why."""
    wrong = []
    for frame in frames:
        try:
            events.parse_server_event(frame)
        except Exception as error:
            wrong.append(f"{frame[:300]}: {error}")
    return wrong


run(
    *(text, spoken, by_its_defaults, interrupted, by_hand),
    *(called, retrieved, refused, parsed),
)
