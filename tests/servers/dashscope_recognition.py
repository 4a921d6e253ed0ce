"""A Paraformer or Fun-ASR task: frames of audio in, interim and final sentences out.

Where speech is, is found by its energy; what it says is scripted. Each stretch of speech
gets the next sentence of the script, the last one all that is left.
"""

import asyncio
import math
import re
import time
from typing import Any

import numpy as np

from tests.servers import voiced
from tests.servers.dashscope_behaviour import Behaviour, Pace, Record
from tests.servers.dashscope_protocol import Dropped, Refused, Sender, stall, until

TRANSCRIPT = "你好，请介绍一下你自己。"
RATES = {"paraformer-realtime-8k-v2": (8_000,), "fun-asr-realtime": (16_000,)}
MODELS = ("paraformer-realtime-v2", "paraformer-realtime-8k-v2", "fun-asr-realtime")
_WINDOW = 0.1  # seconds looked at together
_INTERIM = 0.3  # seconds of speech between two interim texts
_LOUD = 200  # root of the mean square of PCM16
_WAV_HEAD = 44


def sentences_of(text: str) -> list[str]:
    return re.findall(r"[^。！？!?]+[。！？!?]*", text) or [text]


class Recognition:
    """One task, from run-task to its end.

    Raises:
        Refused: The parameters will not do; nothing was started.
    """

    cancelled = False

    def __init__(self, record: Record, sender: Sender, behaviour: Behaviour, pace: Pace) -> None:
        self._record, self._sender = record, sender
        self._behaviour, self._pace = behaviour, pace
        fields = record.parameters
        if record.model not in MODELS:
            raise Refused("ModelNotFound", f"Model not found ({record.model})!")
        if fields.get("format") not in ("pcm", "wav"):
            raise Refused("UNSUPPORTED_FORMAT", f"Unsupported format: {fields.get('format')}")
        self._head = _WAV_HEAD if fields["format"] == "wav" else 0
        self._rate = int(fields.get("sample_rate") or 0)
        rates = RATES.get(record.model)
        if not 8_000 <= self._rate <= 48_000 or (rates and self._rate not in rates):
            raise Refused("UNSUPPORTED_SAMPLE_RATE", f"Unsupported sample rate: {self._rate}")
        self._max_silence = int(fields.get("max_sentence_silence") or 800) / 1000
        self._heartbeat = bool(fields.get("heartbeat"))
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        text = TRANSCRIPT if behaviour.text is None else behaviour.text
        self._script = sentences_of(text)
        self._said = 0  # sentences
        self._samples = 0
        self._clock = 0.0  # seconds of audio heard
        self._begin: float | None = None  # of the open sentence
        self._last = 0.0  # end of the last speech
        self._shown = 0.0  # when its last interim text came

    def message(self, given: dict[str, Any]) -> None:
        """Context, such as Fun-ASR takes; it changes no scripted text."""
        self._record.texts.append(str(given))

    def audio(self, data: bytes) -> None:
        self._frames.put_nowait(data)

    def finish(self, given: dict[str, Any]) -> None:
        self._frames.put_nowait(None)

    @property
    def finished(self) -> dict[str, Any]:
        return {"output": {}, "usage": None}

    async def run(self) -> None:
        """Send the results, up to the one before task-finished.

        Raises:
            Refused: task-failed ends it.
            Dropped: The script closes the socket.
        """
        if self._behaviour.fault == "stall_first":
            await stall()
        size = int(_WINDOW * self._rate) * 2
        buffer = bytearray()
        received = 0
        while (data := await self._frames.get()) is not None:
            skip = max(0, self._head - received)
            received += len(data)
            buffer += data[skip:]
            while len(buffer) >= size:
                await self._hear(bytes(buffer[:size]))
                del buffer[:size]
        if not received:
            raise Refused("NO_INPUT_AUDIO_ERROR", "No input audio.")
        if len(buffer) >= 2:
            await self._hear(bytes(buffer[: len(buffer) // 2 * 2]))
        ended_at = time.monotonic()
        if self._begin is not None:
            await self._final(ended_at, "".join(self._script[self._said % len(self._script) :]))
        elif not self._said:
            raise Refused("NO_VALID_AUDIO_ERROR", "No valid audio.")

    async def _hear(self, window: bytes) -> None:
        samples = np.frombuffer(window, "<i2").astype(np.float64)
        loud = math.sqrt(float(np.mean(samples**2))) > _LOUD
        self._samples += len(samples)
        begin, self._clock = self._clock, self._samples / self._rate
        self._record.seconds = self._clock
        if loud:
            if self._begin is None:
                self._begin = self._shown = begin
            self._last = self._clock
            if self._clock - self._shown >= _INTERIM:
                self._shown = self._clock
                await self._interim()
        elif self._begin is not None and self._clock - self._last >= self._max_silence:
            await self._final(time.monotonic(), self._script[self._said % len(self._script)])
        elif self._heartbeat and int(self._clock) > int(begin):
            sentence = {"begin_time": 0, "end_time": None, "text": "", "words": []}
            await self._result(sentence | {"heartbeat": True, "sentence_end": False}, None)

    async def _interim(self) -> None:
        assert self._begin is not None
        text = self._script[self._said % len(self._script)]
        heard = self._clock - self._begin
        length = 0
        while length < len(text) and voiced.seconds_of(text[: length + 1]) <= heard:
            length += 1
        if self._said == self._behaviour.sentence and length:
            await self._fail_middle()
        await self._sentence(text[: max(length, 1)], None)

    async def _final(self, ended_at: float, text: str) -> None:
        await until(ended_at + self._pace.asr_ms / 1000)
        await self._sentence(text, self._last)
        self._said += 1
        self._begin = None

    async def _sentence(self, text: str, end: float | None) -> None:
        assert self._begin is not None
        clock = self._begin * 1000
        step = ((end or self._clock) * 1000 - clock) / len(text)
        words = []
        for place, letter in enumerate(text):
            if letter.isalnum():
                follows = text[place + 1 : place + 2]
                words.append({"begin_time": round(clock + step * place),
                              "end_time": round(clock + step * (place + 1)), "text": letter,
                              "punctuation": "" if follows.isalnum() else follows})  # fmt: skip
        sentence = {
            "begin_time": round(clock),
            "end_time": None if end is None else round(end * 1000),
            "text": text,
            "heartbeat": False,
            "sentence_end": end is not None,
            "words": words,
        }
        await self._result(sentence, {"duration": math.ceil(self._clock)} if end else None)

    async def _result(self, sentence: dict[str, Any], usage: dict[str, Any] | None) -> None:
        payload = {"output": {"sentence": sentence}, "usage": usage}
        await self._sender.event("result-generated", payload)

    async def _fail_middle(self) -> None:
        behaviour = self._behaviour
        if behaviour.fault == "stall_middle":
            await stall()
        if behaviour.fault == "drop_middle":
            raise Dropped
        if behaviour.fault == "fail_middle":
            raise Refused(behaviour.code or "InternalError", behaviour.message or "Scripted.")
