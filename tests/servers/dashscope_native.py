"""Native HTTP: synthesis whole or as events, and recognition by qwen3-asr-flash."""

import base64
import json
import time
import uuid
from typing import Any, Protocol

from aiohttp import web

from tests.servers.dashscope_audio import facts
from tests.servers.dashscope_behaviour import Behaviour, Pace, Record
from tests.servers.dashscope_protocol import Refused, until
from tests.servers.dashscope_recognition import TRANSCRIPT
from tests.servers.dashscope_synthesis import MAX_PIECE, Synthesis, characters

ASR_MODELS = ("qwen3-asr-flash",)
_MAX_AUDIO = 10 * 2**20
_DAY = 24 * 3600


class Results(Protocol):
    """Files of results, served for a day."""

    def keep(self, data: bytes, suffix: str) -> str: ...


class _Whole:
    """Takes the results of a synthesis; only the audio counts."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        pass

    async def audio(self, data: bytes) -> None:
        self.data += data


class _Events(_Whole):
    """Writes each result as a server-sent event, the audio within it."""

    def __init__(self, request: web.Request, request_id: str) -> None:
        super().__init__()
        self._request, self._request_id = request, request_id
        self._held: dict[str, Any] = {}
        self._number = 0
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream;charset=UTF-8", "X-Request-Id": request_id}
        )

    async def event(self, name: str, payload: dict[str, Any]) -> None:
        if payload["output"]["type"] == "sentence-synthesis":
            self._held = payload  # its audio comes next
        else:
            await self.write("result", payload)

    async def audio(self, data: bytes) -> None:
        self.data += data
        audio = {"data": base64.b64encode(data).decode()}
        output = self._held.get("output", {"type": "sentence-synthesis"}) | {"audio": audio}
        await self.write("result", self._held | {"output": output})

    async def write(self, event: str, payload: dict[str, Any], status: int = 200) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        self._number += 1
        data = json.dumps(payload | {"request_id": self._request_id}, ensure_ascii=False)
        head = f"id:{self._number}\nevent:{event}\n:HTTP_STATUS/{status}\n"
        await self.response.write(f"{head}data:{data}\n\n".encode())


class Speech:
    """POST services/audio/tts/SpeechSynthesizer."""

    def __init__(self, results: Results) -> None:
        self._results = results

    async def __call__(
        self, request: web.Request, body: dict[str, Any], record: Record, behaviour: Behaviour,
        pace: Pace,
    ) -> web.StreamResponse:  # fmt: skip
        given = body.get("input")
        if not isinstance(given, dict):
            raise Refused("InvalidParameter", "input is required")
        record.parameters = given
        streamed = request.headers.get("X-DashScope-SSE") == "enable"
        whole = _Events(request, record.task_id) if streamed else _Whole()
        synthesis = Synthesis(record, whole, behaviour, pace)
        text = given.get("text")
        if isinstance(text, str) and characters(text) > MAX_PIECE:
            raise Refused("InvalidParameter", "Text length exceeds the limit.")
        synthesis.message({"text": text})
        synthesis.finish({})
        try:
            await synthesis.run()
        except Refused as refused:
            if not isinstance(whole, _Events) or not whole.response.prepared:
                raise
            error = {"code": refused.code, "message": refused.message}
            await whole.write("error", error, refused.status)
            return whole.response
        url = self._results.keep(bytes(whole.data), synthesis.format)
        expires_at = int(time.time()) + _DAY
        audio = {"data": "", "url": url, "id": f"audio_{record.task_id}", "expires_at": expires_at}
        answer = {
            "output": {"finish_reason": "stop", "audio": audio},
            "usage": {"characters": record.characters},
        }
        if isinstance(whole, _Events):
            await whole.write("result", answer)
            return whole.response
        return web.json_response(answer | {"request_id": record.task_id})


async def multimodal(
    request: web.Request, body: dict[str, Any], record: Record, behaviour: Behaviour, pace: Pace
) -> web.StreamResponse:
    """POST multimodal-generation with a message of audio."""
    if record.model not in ASR_MODELS:
        raise Refused("ModelNotFound", f"Model not found ({record.model})!", 404)
    try:
        parts = body["input"]["messages"][-1]["content"]
        audio = next(part["audio"] for part in parts if "audio" in part)
    except (KeyError, IndexError, TypeError, StopIteration):
        raise Refused("InvalidParameter", "No audio in the messages.") from None
    text, seconds = await heard(audio, record, behaviour, pace)
    content = [{"text": text}] if text else []
    message = {"role": "assistant", "content": content, "annotations": annotations(text)}
    answer = {
        "output": {"choices": [{"finish_reason": "stop", "message": message}]},
        "usage": {
            "input_tokens_details": {"text_tokens": 0},
            "output_tokens_details": {"text_tokens": len(text)},
            "seconds": max(1, round(seconds)),
        },
        "request_id": str(uuid.uuid4()),
    }
    return web.json_response(answer)


async def heard(
    audio: object, record: Record, behaviour: Behaviour, pace: Pace
) -> tuple[str, float]:
    """What is said in a ``data:`` URL, and its length in seconds.

    Raises:
        Refused: It is no audio, too long, or too much.
    """
    started = time.monotonic()
    if not isinstance(audio, str) or not audio.startswith("data:") or ";base64," not in audio:
        raise Refused("InvalidParameter", "The audio is not a data: URL in base64.")
    data = base64.b64decode(audio.partition(";base64,")[2])
    if len(audio) > _MAX_AUDIO:
        raise Refused("InvalidParameter", "The audio is too large.")
    try:
        seconds, sound = facts(data)
    except ValueError as error:
        raise Refused("InvalidParameter", f"The audio is broken: {error}") from None
    if seconds > 300:
        raise Refused("InvalidParameter", "The audio is too long.")
    record.seconds = seconds
    await until(started + pace.asr_ms / 1000)
    text = TRANSCRIPT if behaviour.text is None else behaviour.text
    return (text if sound else ""), seconds


def annotations(text: str) -> list[dict[str, str]]:
    chinese = any("\u4e00" <= letter <= "\u9fff" for letter in text)
    return [{"type": "audio_info", "language": "zh" if chinese else "en", "emotion": "neutral"}]
