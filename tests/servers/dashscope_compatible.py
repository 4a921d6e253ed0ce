"""The OpenAI mode: Qwen answers chats, qwen3-asr-flash answers audio with its text."""

import json
from typing import Any

from aiohttp import web

from tests.servers import openai_answers
from tests.servers.behaviour import Behaviour as OpenAIBehaviour
from tests.servers.behaviour import Pace as OpenAIPace
from tests.servers.dashscope_behaviour import Behaviour, Pace, Record
from tests.servers.dashscope_native import ASR_MODELS, annotations, heard
from tests.servers.dashscope_protocol import Dropped, Refused, stall


def envelope(response: web.Response) -> web.Response:
    """A native error in OpenAI's envelope."""
    error = json.loads(response.body or b"{}")
    kind = "invalid_request_error" if response.status < 500 else "internal_error"
    inner = {"message": error["message"], "type": kind, "param": None, "code": error["code"]}
    response.text = json.dumps({"error": inner, "request_id": error["request_id"]})
    return response


async def chat(
    request: web.Request, body: dict[str, Any], record: Record, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    if record.model not in ASR_MODELS:
        if not record.model.startswith("qwen"):
            raise Refused("model_not_found", f"The model `{record.model}` does not exist.", 404)
        reply = OpenAIBehaviour(text=behaviour.text)
        return await openai_answers.chat(request, body, reply, OpenAIPace())
    try:
        parts = body["messages"][-1]["content"]
        audio = next(each["input_audio"]["data"] for each in parts if "input_audio" in each)
    except (KeyError, IndexError, TypeError, StopIteration):
        raise Refused("invalid_parameter_error", "No input_audio in the messages.") from None
    text, seconds = await heard(audio, record, behaviour, pace)
    if behaviour.fault == "stall_first":
        await stall()
    if behaviour.fault == "drop_middle":
        raise Dropped
    tokens = {
        "prompt_tokens": round(seconds * 25),
        "completion_tokens": len(text),
        "total_tokens": round(seconds * 25) + len(text),
        "seconds": max(1, round(seconds)),
    }
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{record.task_id}",
        "created": 1_700_000_000,
        "model": record.model,
    }
    if not body.get("stream"):
        message = {"role": "assistant", "content": text, "annotations": annotations(text)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        answer |= {"object": "chat.completion", "choices": [choice], "usage": tokens}
        return web.json_response(answer)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    answer |= {"object": "chat.completion.chunk", "usage": None}
    for token in openai_answers.tokens_of(text):
        delta = {"content": token, "role": "assistant", "annotations": annotations(text)}
        await _write(response, answer, [{"index": 0, "delta": delta, "finish_reason": None}])
    await _write(response, answer, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if (body.get("stream_options") or {}).get("include_usage"):
        await _write(response, answer | {"usage": tokens}, [])
    await response.write(b"data: [DONE]\n\n")
    return response


async def _write(
    response: web.StreamResponse, chunk: dict[str, Any], choices: list[dict[str, Any]]
) -> None:
    data = json.dumps(chunk | {"choices": choices}, ensure_ascii=False)
    await response.write(f"data: {data}\n\n".encode())
