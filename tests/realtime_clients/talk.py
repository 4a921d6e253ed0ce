"""A conversation over a connection of OpenAI's client for Python, in either dialect."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

from tests.realtime_clients.frames import Dialect
from tests.realtime_clients.speech import BLOCK_MS, blocks

PATIENCE = 20.0
# What the dialects call the same thing differently; GA's names are used in the tests.
BETA_NAMES = {
    "response.output_text": "response.text",
    "response.output_audio_transcript": "response.audio_transcript",
    "response.output_audio": "response.audio",
    "conversation.item.added": "conversation.item.created",
}


def named(kind: str, dialect: Dialect) -> str:
    """The event type in that dialect."""
    if dialect == "beta":
        for ga, beta in BETA_NAMES.items():
            if kind == ga or kind.startswith(f"{ga}."):
                return beta + kind.removeprefix(ga)
    return kind


class Talk:
    """Sends with the client's own methods, and keeps all that was received."""

    def __init__(self, connection: Any, dialect: Dialect = "ga") -> None:
        self.connection = connection
        self.dialect = dialect
        self.events: list[Any] = []
        self._seen = 0

    async def until(self, kind: str, seconds: float = PATIENCE) -> Any:
        """The next event of that type that no earlier call has returned or passed."""
        kind = named(kind, self.dialect)
        async with asyncio.timeout(seconds):
            while True:
                while self._seen < len(self.events):
                    event = self.events[self._seen]
                    self._seen += 1
                    if event.type == kind:
                        return event
                await self._receive(kind)

    async def _receive(self, wanted: str) -> None:
        try:
            self.events.append(await self.connection.recv())
        except TimeoutError:
            raise
        except Exception as error:
            kinds = [event.type for event in self.events]
            raise AssertionError(f"no {wanted} among {kinds}") from error

    def all(self, kind: str) -> list[Any]:
        return [each for each in self.events if each.type == named(kind, self.dialect)]

    def said(self, response_id: str) -> str:
        """The transcript, or the text, of a response."""
        kinds = {
            named(f"response.output_{each}.delta", self.dialect)
            for each in ("text", "audio_transcript")
        }
        deltas = [e for e in self.events if e.type in kinds and e.response_id == response_id]
        return "".join(each.delta for each in deltas)

    def audio(self, response_id: str) -> bytes:
        deltas = self.all("response.output_audio.delta")
        return b"".join(
            base64.b64decode(each.delta) for each in deltas if each.response_id == response_id
        )

    async def configure(self, **session: Any) -> Any:
        """``session.update`` with GA's or beta's keys, as the dialect has it; what is in force."""
        if self.dialect == "ga":
            session["type"] = "realtime"
        await self.connection.session.update(session=session)
        return (await self.until("session.updated")).session

    async def detect(self, detection: Mapping[str, Any] | None, *, transcribe: bool = True) -> Any:
        """Hear turns so, and say what was understood."""
        transcription = {"model": "whisper-1"} if transcribe else None
        if self.dialect == "ga":
            heard = {"turn_detection": detection, "transcription": transcription}
            return await self.configure(audio={"input": heard})
        return await self.configure(
            turn_detection=detection, input_audio_transcription=transcription
        )

    async def write(self, text: str, **fields: Any) -> Any:
        """A message of the user; the event that adds it."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **fields}
        await self.connection.conversation.item.create(item=item)
        return await self.until("conversation.item.added")

    async def ask(self, text: str) -> Any:
        """A whole turn in text; the response."""
        await self.write(text)
        await self.connection.response.create()
        return (await self.until("response.done")).response

    async def append(self, pcm: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

    async def speak(self, pcm: bytes, *, speed: float = 1.0) -> None:
        """Into the microphone, block by block; times are counted in samples, not by the clock."""
        for block in blocks(pcm):
            await self.append(block)
            await asyncio.sleep(BLOCK_MS / 1000 / speed)
