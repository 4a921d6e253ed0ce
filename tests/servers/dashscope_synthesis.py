"""A CosyVoice task: text in pieces, sentences out as one continuous stream of audio."""

import asyncio
import re
import time
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from tests.servers import voiced
from tests.servers.dashscope_audio import stream
from tests.servers.dashscope_behaviour import Behaviour, Pace, Record
from tests.servers.dashscope_protocol import Dropped, Refused, Sender, stall, until
from tests.servers.dashscope_voices import MODELS, SSML_MODELS, speaks

MAX_PIECE = 20_000  # characters of one continue-task, as billed
MAX_TASK = 200_000
_BLOCK = 0.25  # seconds of audio encoded at a time
_SENTENCE = re.compile(r"""[。！？!?；;…\n]+[”’」』）)"']*|\.(?=\s)""")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ENGINE = "[tts:]Engine return error code: {}"


def characters(text: str) -> int:
    """As the vendor bills: a Han character is two, everything else one."""
    return len(text) + len(_HAN.findall(text))


def plain(ssml: str) -> str:
    """The text of an SSML document, without its tags.

    Raises:
        Refused: It is not well-formed.
    """
    try:
        return "".join(ET.fromstring(ssml).itertext())
    except ET.ParseError:
        raise Refused("InvalidParameter", _ENGINE.format(411)) from None


def check_voice(model: str, voice: str) -> None:
    """Raise `Refused` where the model or its voice is not there."""
    if model not in MODELS:
        raise Refused("ModelNotFound", f"Model not found ({model})!")
    if not voice:
        raise Refused("InvalidParameter", "Request voice is invalid!")
    if not speaks(model, voice):
        raise Refused("InvalidParameter", _ENGINE.format(418))


class Voicing:
    """What run-task, or the body of an HTTP synthesis, says about the sound.

    Raises:
        Refused: A value is out of its range.
    """

    def __init__(self, model: str, fields: dict[str, Any]) -> None:
        check_voice(model, str(fields.get("voice") or ""))
        given = fields.get("format")
        self.format = "mp3" if given in (None, "", "Default") else str(given)
        self.sample_rate = int(fields.get("sample_rate") or (24_000 if given == "opus" else 22_050))
        self.rate = float(fields.get("rate", 1.0))
        self.volume = int(fields.get("volume", 50))
        pitch = float(fields.get("pitch", 1.0))
        if not (0.5 <= self.rate <= 2 and 0.5 <= pitch <= 2 and 0 <= self.volume <= 100):
            raise Refused("InvalidParameter", "rate, pitch or volume is out of range")
        try:
            self.stream = stream(self.format, self.sample_rate, int(fields.get("bit_rate") or 32))
        except ValueError as error:
            raise Refused("InvalidParameter", f"Request format is invalid: {error}") from None

    def pcm(self, text: str) -> bytes:
        data = voiced.pcm(voiced.seconds_of(text, self.rate), self.sample_rate)
        if self.volume == 50:
            return data
        louder = np.frombuffer(data, "<i2") * (self.volume / 50)
        return np.clip(louder, -32_768, 32_767).astype("<i2").tobytes()


class Synthesis:
    """One task, from run-task to its end.

    Raises:
        Refused: The parameters will not do; nothing was started.
    """

    def __init__(self, record: Record, sender: Sender, behaviour: Behaviour, pace: Pace) -> None:
        self._record, self._sender = record, sender
        self._behaviour, self._pace = behaviour, pace
        self._voicing = Voicing(record.model, record.parameters)
        self._ssml = bool(record.parameters.get("enable_ssml"))
        self._timed = bool(record.parameters.get("word_timestamp_enabled"))
        self._buffer = ""
        self._received = 0
        self._sentences: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self._spoken = 0  # sentences
        self._clock = 0.0  # seconds of audio so far
        self.cancelled = False

    # What the client sends

    def message(self, given: dict[str, Any]) -> None:
        """The ``input`` of one continue-task.

        Raises:
            Refused: It breaks a rule of the task.
        """
        if given.get("flush"):
            self._speak_rest()
            return
        text = given.get("text")
        if not isinstance(text, str) or not text:
            raise Refused("InvalidParameter", "Please ensure input text is valid.")
        self._record.texts.append(text)
        if self._ssml and len(self._record.texts) > 1:
            raise Refused("InvalidParameter", "Text request limit violated, expected 1.")
        if self._ssml and text.lstrip().startswith("<speak"):
            if self._record.model not in SSML_MODELS:
                raise Refused("InvalidParameter", "SSML text is not supported at the moment!")
            text = plain(text)
        count = characters(text)
        self._received += count
        if count > MAX_PIECE or self._received > MAX_TASK:
            raise Refused("InvalidParameter", "Text length exceeds the limit.")
        self._buffer += text
        start = 0
        for end in _SENTENCE.finditer(self._buffer):
            self._sentences.put_nowait((self._buffer[start : end.end()], time.monotonic()))
            start = end.end()
        self._buffer = self._buffer[start:]

    def audio(self, data: bytes) -> None:
        raise Refused("InvalidParameter", f"{len(data)} bytes of audio in a synthesis.")

    def finish(self, given: dict[str, Any]) -> None:
        """The ``input`` of finish-task: speak the rest, or with a directive stop at once."""
        if given.get("directive") == "cancel":
            self.cancelled = True
            while not self._sentences.empty():
                self._sentences.get_nowait()
        else:
            self._speak_rest()
        self._sentences.put_nowait(None)

    def _speak_rest(self) -> None:
        if self._buffer:
            self._sentences.put_nowait((self._buffer, time.monotonic()))
            self._buffer = ""

    # What it gets

    async def run(self) -> None:
        """Send the results, up to the one before task-finished.

        Raises:
            Refused: task-failed ends it.
            Dropped: The script closes the socket.
        """
        if self._behaviour.fault == "stall_first":
            await stall()
        while (each := await self._sentences.get()) is not None:
            text, complete_at = each
            self._record.characters += characters(text)
            if any(letter.isalnum() for letter in text):
                await self._say(text.strip(), complete_at)
        if self.cancelled:
            return
        if self._spoken:
            await self._send_audio(self._voicing.stream.finish())
        elif self._record.texts:
            raise Refused("InvalidParameter", _ENGINE.format(411))

    @property
    def format(self) -> str:
        """Of the audio: pcm, wav, mp3 or opus."""
        return self._voicing.format

    @property
    def finished(self) -> dict[str, Any]:
        """Payload of task-finished."""
        output = {"type": "sentence-end", "sentence": {"index": max(self._spoken - 1, 0)}}
        return {"output": output, "usage": {"characters": self._record.characters}}

    async def _say(self, text: str, complete_at: float) -> None:
        pcm = self._voicing.pcm(text)
        size = int(_BLOCK * self._voicing.sample_rate) * 2
        starts = range(0, len(pcm), size)
        pace, started = self._pace, self._clock
        await until(complete_at + pace.first_audio_ms / 1000)
        first = time.monotonic()
        await self._event("sentence-begin", [], text)
        for start in starts:
            if pace.speech_rate:
                await until(first + (self._clock - started) / pace.speech_rate)
            if self.cancelled:
                return
            block = pcm[start : start + size]
            await self._send_audio(self._voicing.stream.encode(block))
            self._clock += len(block) / 2 / self._voicing.sample_rate
            self._record.seconds = self._clock
            if self._spoken == self._behaviour.sentence and start == starts[len(starts) // 2]:
                await self._fail_middle()
        await self._event("sentence-end", self._words(text, started), text)
        self._spoken += 1

    def _words(self, text: str, started: float) -> list[dict[str, Any]]:
        if not self._timed:
            return []
        words, clock = [], started * 1000
        for place, letter in enumerate(text):
            until_ = clock + voiced.seconds_of(letter, self._voicing.rate) * 1000
            if letter.isalnum():
                words.append({"text": letter, "begin_index": place, "end_index": place + 1,
                              "begin_time": round(clock), "end_time": round(until_)})  # fmt: skip
            clock = until_
        return words

    async def _fail_middle(self) -> None:
        fault = self._behaviour.fault
        if fault == "stall_middle":
            await stall()
        if fault == "drop_middle":
            raise Dropped
        if fault == "fail_middle":
            raise Refused(
                self._behaviour.code or "InternalError", self._behaviour.message or "Scripted."
            )

    async def _send_audio(self, data: bytes) -> None:
        for start in range(0, len(data), self._behaviour.piece_bytes):
            await self._event("sentence-synthesis", [])
            await self._sender.audio(data[start : start + self._behaviour.piece_bytes])

    async def _event(self, kind: str, words: list[dict[str, Any]], text: str | None = None) -> None:
        output = {"type": kind, "sentence": {"index": self._spoken, "words": words}}
        payload: dict[str, Any] = {"output": output}
        if text is not None:
            output["original_text"] = text
        if kind == "sentence-end":
            payload["usage"] = {"characters": self._record.characters}
        await self._sender.event("result-generated", payload)
