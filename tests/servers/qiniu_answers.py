"""The healthy answers of the loopback Qiniu, and what spoils them half way."""

import asyncio
import base64
import gzip
import json
import struct
import time
import uuid
from typing import Any

from aiohttp import WSMsgType, web

from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_answers import TRANSCRIPT, Body, Dropped, error_response, until

VOICES = [
    ("qiniu_zh_female_wwxkjx", "温婉学科讲解", "传统音色"),
    ("qiniu_zh_male_ljfdxz", "邻家辅导学长", "传统音色"),
    ("qiniu_en_female_azyy", "澳洲英语", "双语音色"),
    ("qiniu_multi_male_rysy", "日语西语", "双语音色"),
]
_KNOWN = frozenset(row[0] for row in VOICES)
_MOST_CHARACTERS = 300
_SEGMENT_BYTES = 9_600


async def voices(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    if behaviour.fault == "invalid_json":
        return web.Response(text="[oops", content_type="application/json")
    rows = [
        {
            "voice_name": name,
            "voice_type": voice_type,
            "url": f"https://aitoken-public.qnaigc.com/ai-voice/{voice_type}.mp3",
            "category": category,
            "updatetime": 1_747_812_605_559,
        }
        for voice_type, name, category in VOICES
    ]
    return web.json_response(rows)


# Synthesis


def _spoken(body: Body) -> tuple[bytes, float]:
    """The mp3 of a request, and its seconds. Raises ValueError, which is the answer."""
    try:
        audio, text = body["audio"], body["request"]["text"]
        voice_type, encoding = audio["voice_type"], audio["encoding"]
        speed = float(audio.get("speed_ratio", 1.0))
    except (KeyError, TypeError) as error:
        raise ValueError(f"invalid_request: {error}") from error
    if voice_type not in _KNOWN:
        raise ValueError("invalid_voice_type")
    if encoding != "mp3" or not text or len(text) > _MOST_CHARACTERS:
        raise ValueError("invalid_request")
    seconds = voiced.seconds_of(text, speed)
    return voiced.mp3(voiced.pcm(seconds)), seconds


def _frame(mp3: bytes, sequence: int, seconds: float) -> dict[str, Any]:
    return {
        "reqid": uuid.uuid4().hex,
        "operation": "query",
        "sequence": sequence,
        "data": base64.b64encode(mp3).decode(),
        "addition": {"duration": str(round(seconds * 1000))},
    }


async def speech(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    started = time.monotonic()
    try:
        mp3, seconds = await asyncio.to_thread(_spoken, body)
    except ValueError as error:
        return error_response(400, str(error), code=str(error))
    making = seconds / pace.speech_rate if pace.speech_rate else 0.0
    await until(started + pace.tts_first_ms / 1000 + making)
    if behaviour.fault == "error_event":
        return web.json_response({"error": {"message": "Scripted.", "code": behaviour.code}})
    answer = json.dumps(_frame(mp3, -1, seconds)).encode()
    if behaviour.fault == "invalid_json":
        answer = answer[: len(answer) // 2]
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(answer)
    await response.prepare(request)
    if behaviour.fault == "stall_first":
        await asyncio.Event().wait()
    half = len(answer) // 2
    await response.write(answer[:half])
    await _fail_middle(behaviour)
    await response.write(answer[half:])
    return response


async def speech_socket(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    if request.headers.get("VoiceType") not in _KNOWN:
        return error_response(400, "invalid_voice_type", code="invalid_voice_type")
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    message = await socket.receive()
    if message.type is not WSMsgType.BINARY:
        raise asyncio.CancelledError
    first = time.monotonic() + pace.tts_first_ms / 1000
    try:
        body.update(json.loads(message.data))
        mp3, seconds = await asyncio.to_thread(_spoken, body)
    except ValueError as error:
        await socket.send_json({"error": {"message": str(error), "code": "invalid_request"}})
        await socket.close()
        return socket
    leaving = asyncio.create_task(_cancel_when_left(socket, asyncio.current_task()))
    try:
        await _send_speech(socket, mp3, seconds, behaviour, pace, first)
    finally:
        leaving.cancel()
    await socket.close()
    return socket


async def _send_speech(
    socket: web.WebSocketResponse,
    mp3: bytes,
    seconds: float,
    behaviour: Behaviour,
    pace: Pace,
    first: float,
) -> None:
    await until(first)
    if behaviour.fault == "stall_first":
        await asyncio.Event().wait()
    size = min(behaviour.piece_bytes, max(1, len(mp3) // 4))
    pieces = [mp3[start : start + size] for start in range(0, len(mp3), size)]
    step = seconds / len(pieces) / pace.speech_rate if pace.speech_rate else 0.0
    for number, piece in enumerate(pieces):
        await until(first + step * number)
        if number == len(pieces) // 2:
            await _fail_middle(behaviour)
            if behaviour.fault == "invalid_json":
                await socket.send_str("{oops")
            if behaviour.fault == "error_event":
                await socket.send_json({"error": {"message": "No.", "code": behaviour.code}})
                return
        is_last = number == len(pieces) - 1 and behaviour.fault != "no_finish"
        sequence = -(number + 1) if is_last else number + 1
        answer = json.dumps(_frame(piece, sequence, seconds))
        # Both kinds are seen of the service.
        await (socket.send_str(answer) if number % 2 else socket.send_bytes(answer.encode()))


async def _cancel_when_left(
    socket: web.WebSocketResponse, handler: "asyncio.Task[Any] | None"
) -> None:
    """A client that goes away in the middle is noticed though nothing is read from it."""
    message = await socket.receive()
    assert handler is not None
    if message.type is not WSMsgType.BINARY:
        handler.cancel()


async def _fail_middle(behaviour: Behaviour) -> None:
    if behaviour.fault == "stall_middle":
        await asyncio.Event().wait()
    if behaviour.fault == "drop_middle":
        raise Dropped


# Recognition. The frames are read here by the vendor's sample, not by the platform's own codec.


def _read_frame(data: bytes) -> tuple[int, int, int, bytes]:
    """Kind, flags, sequence and payload. Raises ValueError for what the service refuses."""
    if len(data) < 12 or data[0] != 0x11 or data[2] != 0x11 or data[3]:
        raise ValueError("not a frame")
    kind, flags = data[1] >> 4, data[1] & 15
    sequence, size = struct.unpack_from(">iI", data, 4)
    if size != len(data) - 12 or not flags & 1:
        raise ValueError("not a frame")
    try:
        return kind, flags, sequence, gzip.decompress(data[12:])
    except (OSError, EOFError) as error:
        raise ValueError("not gzip") from error


def _result(sequence: int, answer: object, *, is_last: bool) -> bytes:
    payload = gzip.compress(json.dumps(answer, ensure_ascii=False).encode())
    head = bytes((0x11, 0x93 if is_last else 0x91, 0x11, 0))
    return head + struct.pack(">iI", -sequence if is_last else sequence, len(payload)) + payload


def _error(code: int, message: str) -> bytes:
    payload = gzip.compress(json.dumps({"error": message}).encode())
    return bytes((0x11, 0xF0, 0x11, 0)) + struct.pack(">II", code, len(payload)) + payload


async def transcriptions(
    request: web.Request, body: Body, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    heard = TRANSCRIPT if behaviour.text is None else behaviour.text
    pcm, expected, sound = bytearray(), 1, False
    while True:
        message = await socket.receive()
        if message.type is not WSMsgType.BINARY:
            raise asyncio.CancelledError
        try:
            kind, flags, sequence, payload = _read_frame(message.data)
            is_last = bool(flags & 2)
            if sequence != (-expected if is_last else expected):
                raise ValueError(f"sequence {sequence} where {expected} was due")
            if kind != (1 if expected == 1 else 2):
                raise ValueError(f"a frame of kind {kind}")
            if expected == 1:
                body["config"] = json.loads(payload)
                _check(body["config"])
        except (ValueError, KeyError) as error:
            await socket.send_bytes(_error(45_000_001, str(error)))
            break
        expected += 1
        if kind == 1:
            # The acknowledgement; no text in it.
            await socket.send_bytes(_result(1, {"audio_info": {}}, is_last=False))
            if behaviour.fault == "stall_first":
                await asyncio.Event().wait()
            continue
        pcm += payload
        sound = sound or bool(payload.strip(b"\0"))
        if (is_last or len(pcm) > 3 * _SEGMENT_BYTES) and behaviour.fault:
            await _fail_middle(behaviour)
            if behaviour.fault == "error_event":
                await socket.send_bytes(_error(int(behaviour.code or 55_000_031), "Scripted."))
                break
            if behaviour.fault == "invalid_json":
                await socket.send_bytes(b"\x11\x91\x11\x00oops")
                break
        text = heard if sound else ""
        if not is_last:
            text = text[: len(pcm) // _SEGMENT_BYTES]
            # Samples of the vendor look in both places.
            answer: Body = {"payload_msg": {"result": {"text": text}}}
            await socket.send_bytes(_result(expected - 1, answer, is_last=False))
            continue
        body["pcm"] = bytes(pcm)
        await asyncio.sleep(pace.asr_ms / 1000)
        answer = {"result": {"text": text}, "audio_info": {"duration": len(pcm) // 32}}
        marked = behaviour.fault != "no_finish"
        await socket.send_bytes(_result(expected - 1, answer, is_last=marked))
        if not marked:  # the client has to find the end by itself
            await socket.receive()
        break
    await socket.close()
    return socket


def _check(config: Body) -> None:
    audio = config["audio"]
    wanted = {"format": "pcm", "sample_rate": 16_000, "bits": 16, "channel": 1, "codec": "raw"}
    if audio != wanted or config["request"]["model_name"] != "asr" or not config["user"]["uid"]:
        raise ValueError(f"the configuration {config}")
