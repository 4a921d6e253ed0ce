"""The session's end of live turns, as a process of its own.

It takes JSON lines, ``[turn, call, …arguments]``, and writes a line for each event:
``[seconds, turn, what, …]`` by the clock that all processes of a machine share. Calls are
``open`` (user, key, conversation), those of ``LiveTurn``, ``again`` (deliver its task once
more) and ``settle`` (close all; answered when all is accounted for).
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from chat import live, providers, turns  # noqa: E402
from chat.engine.live import LiveTurn  # noqa: E402
from chat.engine.live_events import AudioReady  # noqa: E402
from chat.engine.order import ReplyOrder  # noqa: E402
from chat.llm.base import Prompt, PromptMessage  # noqa: E402
from chat.tasks import run_live_turn  # noqa: E402
from voice.tts.base import VoiceRef  # noqa: E402

_turns: dict[str, LiveTurn] = {}


def tell(*line: Any) -> None:
    print(json.dumps([time.monotonic(), *line]), flush=True)


def told(event: Any) -> list[Any]:
    fields = {"pcm": len(event.pcm)} if isinstance(event, AudioReady) else asdict(event)
    return [type(event).__name__, fields]


def order(said: str, spoken: bool) -> ReplyOrder:
    prompt = Prompt((PromptMessage("system", "亮"), PromptMessage("user", said)))
    return ReplyOrder(prompt, VoiceRef("openai", "alloy") if spoken else None)


async def carry_out(name: str, call: str, *arguments: Any) -> None:
    if call == "settle":
        await live.aclose_all()
        tell(name, "settled")
        return
    if call == "open":
        user_id, key_id, conversation_id = arguments
        _turns[name] = live.open_live_turn(
            on_heard=lambda event: tell(name, *told(event)),
            on_reply=lambda run, event: tell(name, *told(event), run),
            user_id=user_id,
            key_id=key_id,
            conversation_id=lambda: conversation_id,
        )
        return
    turn: Any = _turns[name]
    match call:
        case "listen":
            turn.listen(language="zh")
        case "hear":
            seconds, block_ms = arguments
            block = b"\x01\x00" * (16 * block_ms)
            for _ in range(int(seconds * 1000 / block_ms)):
                turn.hear(block)
        case "finish":
            turn.finish_utterance(silent=bool(arguments and arguments[0]))
        case "respond":
            run, said, spoken = arguments
            turn.respond(run, order(said, spoken))
        case "again":
            await turns.hand_over(run_live_turn, turn._key, *turn._owner)
        case _:
            getattr(turn, call)()


async def main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await providers.warm_connections()
    tell("", "ready", await live.streams())
    while line := await lines.readline():
        await carry_out(*json.loads(line))


if __name__ == "__main__":
    asyncio.run(main())
