"""What every script of a Python client does: take orders line by line, and answer them."""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

Scenario = Callable[..., Awaitable[Any]]


async def _performed(scenarios: dict[str, Scenario], line: str) -> dict[str, Any]:
    order = json.loads(line)
    try:
        async with asyncio.timeout(50):
            return {"result": await scenarios[order["scenario"]](**order["arguments"])}
    except BaseException:
        return {"failed": traceback.format_exc()}


async def _ready() -> str:
    return "ready"


async def _serve(scenarios: dict[str, Scenario]) -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    while line := await asyncio.to_thread(sys.stdin.readline):
        answer = await _performed({"ready": _ready, **scenarios}, line)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(*scenarios: Scenario) -> None:
    """Until the standard input ends."""
    asyncio.run(_serve({scenario.__name__: scenario for scenario in scenarios}))


async def until(ready: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """What ``ready`` gives once it gives something."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := ready()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited in vain for {what or ready}")
        await asyncio.sleep(0.01)
    return found
