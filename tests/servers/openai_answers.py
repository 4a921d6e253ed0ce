"""The healthy answers of the loopback OpenAI server, and what spoils them half way."""

import asyncio
import json
import re
import time
import uuid
from typing import Any

from aiohttp import web

from tests.servers import tool_calls, voiced
from tests.servers.behaviour import Behaviour, Pace

Body = dict[str, Any]
REPLY = (
    "久仰久仰，今日得见，实是幸会。我在此间读书抚琴，正等一位知音。"
    "The wind has turned, my friend, and the night is long. "
    "且坐下来，饮一杯热茶，慢慢与我说你的来意。"
)
TRANSCRIPT = "你好，请介绍一下你自己。"
AUDIO_TYPES = {"pcm": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg"}
ERROR_TYPES = {
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class Dropped(Exception):
    """The script asked for the socket to be closed."""


def tokens_of(text: str) -> list[str]:
    """Split as a model would: a Chinese character, or a word with the space before it.

    Halves of a character (surrogates), as servers send them that count in UTF-16, go alone.
    """
    alone = r"\u3000-\u9fff\uff00-\uffef\ud800-\udfff"
    return re.findall(rf"[{alone}]|\s*[^\s{alone}]+|\s+", text)


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    behaviour: Behaviour | None = None,
) -> web.Response:
    """A failure, worded as the behaviour says."""
    envelope = behaviour.envelope if behaviour else "openai"
    if envelope == "flat":
        number = int(code) if code and code.isdecimal() else 20015
        return web.json_response(
            {"code": number, "message": message, "data": None},
            status=status,
            headers={"x-siliconcloud-trace-id": "ti_loopback"},
        )
    if envelope == "fastapi":
        where = [{"type": "extra_forbidden", "loc": ["body", param], "msg": message}]
        status = 422 if status == 400 else status
        return web.json_response({"detail": where if param else message}, status=status)
    kind = ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status=status)


async def until(moment: float) -> None:
    """Sleep to a point of the monotonic clock, so that a pace does not drift."""
    delay = moment - time.monotonic()
    if delay > 0:
        await asyncio.sleep(delay)


async def fail_before(behaviour: Behaviour) -> None:
    if behaviour.fault == "stall_before":
        await asyncio.Event().wait()
    if behaviour.fault == "drop_before":
        raise Dropped


async def _stall_first(behaviour: Behaviour) -> None:
    if behaviour.fault == "stall_first":
        await asyncio.Event().wait()


async def _fail_middle(behaviour: Behaviour) -> None:
    if behaviour.fault == "stall_middle":
        await asyncio.Event().wait()
    if behaviour.fault == "drop_middle":
        raise Dropped


async def chat(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    started = time.monotonic()
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return error_response(400, "'messages' must be a non-empty array.", param="messages")
    calls = behaviour.tool_calls if _calls_tools(body) else ()
    text = behaviour.text
    tokens = tokens_of(("" if calls else REPLY) if text is None else text)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens)
    usual = "length" if limit < len(tokens) else "tool_calls" if calls else "stop"
    finish = behaviour.finish_reason or usual
    tokens = tokens[:limit]
    prompt_tokens = sum(len(tokens_of(str(m.get("content", "")))) for m in messages)
    written = len(tokens) + sum(len(tokens_of(call["arguments"])) for call in calls)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": written,
        "total_tokens": prompt_tokens + written,
    }
    if behaviour.cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": behaviour.cached_tokens}
    step = 1 / pace.tokens_per_second if pace.tokens_per_second else 0.0
    first = started + pace.llm_first_ms / 1000
    frame = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": body["model"],
    }
    if not body.get("stream"):
        await until(first + step * len(tokens))
        message: dict[str, Any] = {"role": "assistant", "content": "".join(tokens)}
        if behaviour.reasoning:
            message["reasoning_content"] = behaviour.reasoning
        if calls:
            message["tool_calls"] = tool_calls.whole(calls)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        answer = frame | {"object": "chat.completion", "choices": [choice], "usage": usage}
        return web.json_response(answer)

    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    frame |= {"object": "chat.completion.chunk"} | ({"usage": None} if with_usage else {})

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return b"data: " + json.dumps(frame | {"choices": [choice]}).encode() + b"\n\n"

    # One token of thousands a second changes only here: cut the frame around it once.
    before, after = chunk({"content": "\0"}).split(json.dumps("\0").encode())
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await until(first)
    await response.prepare(request)
    await response.write(chunk({"role": "assistant", "content": ""}))
    await _stall_first(behaviour)
    for token in tokens_of(behaviour.reasoning):
        await response.write(chunk({"reasoning_content": token}))
    for number, token in enumerate(tokens):
        if step and number:
            await until(first + step * number)
        if behaviour.fault and number == len(tokens) // 2:
            await _fail_middle(behaviour)
            if behaviour.fault == "invalid_json":
                await response.write(b'data: {"choices": [oops\n\n')
            if behaviour.fault == "error_event":
                error = {"message": "Scripted failure.", "code": behaviour.code}
                await response.write(f"data: {json.dumps({'error': error})}\n\n".encode())
                return response
        await response.write(before + json.dumps(token).encode() + after)
    for number, piece in enumerate(tool_calls.pieces(calls, behaviour.calls_as), len(tokens)):
        await until(first + step * number)
        await response.write(chunk({"tool_calls": piece}))
    if behaviour.fault == "no_finish":
        return response
    await response.write(chunk({}, finish))
    if with_usage:
        last = json.dumps(frame | {"choices": [], "usage": usage})
        await response.write(f"data: {last}\n\n".encode())
    if behaviour.fault != "no_done":
        await response.write(b"data: [DONE]\n\n")
    return response


def _calls_tools(body: Body) -> bool:
    answered = body["messages"][-1].get("role") == "tool"
    return bool(body.get("tools")) and body.get("tool_choice") != "none" and not answered


async def transcriptions(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    started = time.monotonic()
    upload = body.get("file")
    if not isinstance(upload, bytes):
        return error_response(400, "You must provide a file.", param="file")
    try:
        seconds, sound = voiced.wav_facts(upload)
    except ValueError as error:
        return error_response(400, f"Audio file might be corrupted: {error}", param="file")
    if seconds < 0.1:
        return error_response(400, "Audio file is too short.", code="audio_too_short", param="file")
    await until(started + pace.asr_ms / 1000)
    if behaviour.fault == "invalid_json":
        return web.Response(body=b'{"text": oops', content_type="application/json")
    heard = TRANSCRIPT if behaviour.text is None else behaviour.text
    text = heard if sound else ""
    if body.get("response_format") == "text":
        return web.Response(text=text + "\n")
    usage = {"type": "duration", "seconds": round(seconds)}
    answer: dict[str, Any] = {"text": text, "usage": usage}
    if body.get("response_format") == "verbose_json":
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in text)
        language = "chinese" if chinese else "english"
        answer |= {"task": "transcribe", "language": language, "duration": seconds}
        answer |= {"segments": [], "words": None}
    return web.json_response(answer)


async def speech(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    first = time.monotonic() + pace.tts_first_ms / 1000
    text, audio_format = body.get("input"), body.get("response_format", "mp3")
    most = behaviour.max_characters
    if not isinstance(text, str) or not 0 < len(text) <= most:
        message = f"input must have 1 to {most} characters."
        return error_response(400, message, param="input", behaviour=behaviour)
    if body.get("voice", "") not in (behaviour.voices or (body.get("voice") or None,)):
        message = "You must provide a voice parameter"
        return error_response(400, message, param="voice", behaviour=behaviour)
    if audio_format not in (behaviour.formats or AUDIO_TYPES):
        message = "Unknown response_format."
        return error_response(400, message, param="response_format", behaviour=behaviour)
    speed = body.get("speed", 1.0)
    if not 0.25 <= speed <= 4:
        message = "speed must be 0.25 to 4."
        return error_response(400, message, param="speed", behaviour=behaviour)
    audio_format = behaviour.sends_format or audio_format
    seconds = voiced.seconds_of(text, speed)
    rate_asked = body.get("sample_rate", behaviour.native_rate)
    data = voiced.pcm(seconds, rate_asked)
    if audio_format == "wav":
        data = voiced.streamed_wav(data, rate_asked)
    elif audio_format == "mp3":
        data = voiced.mp3(data, rate_asked)
    elif audio_format == "text":
        data = b'{"error": {"message": "The voice is out for lunch."}}'
    rate = pace.speech_rate
    step = seconds / len(data) / rate if rate else 0.0  # seconds a byte
    label = behaviour.content_type or AUDIO_TYPES.get(audio_format, "text/plain")
    response = web.StreamResponse(headers={"Content-Type": label})
    await until(first)
    await response.prepare(request)
    await _stall_first(behaviour)
    half = len(data) // 2
    for start in range(0, len(data), behaviour.piece_bytes):
        await until(first + step * start)
        await response.write(data[start : start + behaviour.piece_bytes])
        if start <= half < start + behaviour.piece_bytes:
            await _fail_middle(behaviour)
    return response
