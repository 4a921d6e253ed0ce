"""The reference: a bare asyncio server that does a turn and nothing else.

Same sockets, same loopback providers, same segmenter and MP3 encoder; no users, no database,
no queue, no bus, no deadlines, no recovery. What it adds is what Python, JSON and HTTP cost.

    python -m bench.floor http://127.0.0.1:9000/v1     prints its own ws:// address
"""

import asyncio
import base64
import json
import sys
import wave
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import uvloop
from websockets.asyncio.server import ServerConnection, serve

from bench.question import question_mp3
from chat.engine.segmenter import Segmenter
from chat.engine.speakable import SpeakableFilter
from voice.audio.codecs import Mp3Encoder
from voice.audio.decode import decode_clip


class Floor:
    """Both turns over one HTTP client."""

    def __init__(self, providers: str) -> None:
        self._providers = providers
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._http = aiohttp.ClientSession(connector=connector)

    async def handle(self, socket: ServerConnection) -> None:
        async for raw in socket:
            message = json.loads(raw)
            if "voice_url" in message:
                await self._voice(socket)
            else:
                await self._chat(socket, message)

    async def _chat(self, socket: ServerConnection, message: dict[str, Any]) -> None:
        text = ""
        async for delta in self._reply(message["message"]):
            text += delta
            await _send(socket, role_id=1, type="delta", message=delta)
        await _send(socket, role_id=1, type="text", message=text)

    async def _voice(self, socket: ServerConnection) -> None:
        clip = await asyncio.to_thread(
            decode_clip, question_mp3(), max_seconds=60, max_bytes=2**24, sample_rate=16_000
        )
        said = await self._transcript(clip.pcm)
        segments: asyncio.Queue[str | None] = asyncio.Queue()
        writing = asyncio.create_task(self._write(said, segments))
        encoder = Mp3Encoder(24_000)
        while (segment := await segments.get()) is not None:
            async for pcm in self._speech(segment):
                if mp3 := encoder.encode(pcm):
                    await _send_audio(socket, mp3, is_final=False)
        await writing
        await _send_audio(socket, encoder.finish(), is_final=True)

    async def _write(self, said: str, segments: "asyncio.Queue[str | None]") -> None:
        speakable, segmenter = SpeakableFilter("zh"), Segmenter()
        async for delta in self._reply(said):
            for segment in segmenter.feed(speakable.feed(delta)):
                segments.put_nowait(segment)
        for segment in [*segmenter.feed(speakable.flush()), *segmenter.flush()]:
            segments.put_nowait(segment)
        segments.put_nowait(None)

    async def _transcript(self, pcm: bytes) -> str:
        body = BytesIO()
        with wave.open(body, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(pcm)
        form = aiohttp.FormData({"model": "loopback"})
        form.add_field("file", body.getvalue(), filename="a.wav", content_type="audio/wav")
        url = f"{self._providers}/audio/transcriptions"
        async with self._http.post(url, data=form) as response:
            transcript: str = (await response.json())["text"]
            return transcript

    async def _reply(self, said: str) -> AsyncIterator[str]:
        body = {
            "model": "loopback",
            "stream": True,
            "messages": [{"role": "user", "content": said}],
        }
        async with self._http.post(f"{self._providers}/chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        yield text

    async def _speech(self, text: str) -> AsyncIterator[bytes]:
        body = {"model": "loopback", "voice": "alloy", "input": text, "response_format": "pcm"}
        held = b""
        async with self._http.post(f"{self._providers}/audio/speech", json=body) as response:
            async for piece in response.content.iter_any():
                held += piece
                whole = len(held) // 2 * 2
                yield held[:whole]
                held = held[whole:]


async def _send(socket: ServerConnection, **message: Any) -> None:
    await socket.send(json.dumps(message, ensure_ascii=False))


async def _send_audio(socket: ServerConnection, mp3: bytes, *, is_final: bool) -> None:
    data = base64.b64encode(mp3).decode()
    await _send(socket, type="audio", data=data, format="mp3", is_final=is_final)


async def main(providers: str) -> None:
    floor = Floor(providers)
    question_mp3()
    async with serve(floor.handle, "127.0.0.1", 0, compression=None, max_size=2**25) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
