"""The messages of the task protocol, as Alibaba Cloud documents them.

One client-made ``task_id`` runs through a task: run-task, task-started, any number of
continue-task or binary frames, finish-task, task-finished or task-failed. Audio travels in
binary frames without an identifier, so a connection carries one task at a time.

Source: https://help.aliyun.com/zh/model-studio/cosyvoice-websocket-api and
https://help.aliyun.com/zh/model-studio/websocket-for-paraformer-real-time-service
"""

import json
from typing import Any, Literal, NotRequired, TypedDict, cast

Parameters = dict[str, str | int | float | bool | list[str]]


class RunPayload(TypedDict):
    task_group: Literal["audio"]
    task: Literal["tts", "asr"]
    function: Literal["SpeechSynthesizer", "recognition"]
    model: str
    parameters: Parameters
    input: dict[str, str]


class EventHeader(TypedDict):
    event: str
    task_id: NotRequired[str]
    error_code: NotRequired[str]
    error_message: NotRequired[str]
    request_id: NotRequired[str]
    attributes: NotRequired[dict[str, str]]


class Sentence(TypedDict, total=False):
    """Of synthesis (index) and of recognition (all others)."""

    index: int
    text: str
    end_time: int | None
    sentence_end: bool
    heartbeat: bool


class Output(TypedDict, total=False):
    type: Literal["sentence-begin", "sentence-synthesis", "sentence-end"]
    original_text: str
    sentence: Sentence


class Usage(TypedDict, total=False):
    characters: int
    duration: float


class EventPayload(TypedDict, total=False):
    output: Output | None
    usage: Usage | None


class Event(TypedDict):
    header: EventHeader
    payload: NotRequired[EventPayload]


def synthesis(model: str, parameters: Parameters) -> RunPayload:
    """What to run to have text spoken."""
    return {
        "task_group": "audio",
        "task": "tts",
        "function": "SpeechSynthesizer",
        "model": model,
        "parameters": parameters,
        "input": {},
    }


def recognition(model: str, parameters: Parameters) -> RunPayload:
    """What to run to have speech written."""
    return {
        "task_group": "audio",
        "task": "asr",
        "function": "recognition",
        "model": model,
        "parameters": parameters,
        "input": {},
    }


def command(action: str, task_id: str, payload: Any) -> str:
    """A message of the client."""
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return json.dumps({"header": header, "payload": payload}, ensure_ascii=False)


def parsed(text: str) -> Event:
    """An event of the server. Raises ValueError where it is none."""
    event = json.loads(text)
    if not isinstance(event, dict) or not isinstance(event.get("header"), dict):
        raise ValueError("not an event of the task protocol")  # noqa: TRY004 - of the protocol
    if not isinstance(event["header"].get("event"), str):
        raise ValueError("an event without a name")  # noqa: TRY004
    return cast(Event, event)


def output_of(event: Event) -> Output:
    """The ``output`` of a result, empty where it has none."""
    return (event.get("payload") or {}).get("output") or {}


def request_id_of(event: Event) -> str:
    """The service's own name of the request, for its support; empty where it told none."""
    header = event["header"]
    return (header.get("attributes") or {}).get("request_uuid", "") or header.get("request_id", "")
