"""Qiniu over a WebSocket and over HTTP: which is heard first.

``python -m bench.qiniu_transports`` runs it against the loopback Qiniu, which makes speech at
some multiple of its length. There are no round trips on loopback: over a network a WebSocket
needs three more of them (TCP, TLS, handshake) than a kept connection.
"""

import time

from bench.measure import Percentiles, table
from tests.servers.behaviour import Pace
from tests.servers.qiniu import QiniuServer
from tests.servers.qiniu_answers import VOICES
from voice.qiniu.config import QiniuConfig, Transport
from voice.tts.base import VoiceRef
from voice.tts.qiniu import QiniuSynthesizer

FIRST_AUDIO_MS = 150
TIMES_ITS_LENGTH = (10, 30)
SENTENCE = "久仰久仰，今日得见，实是幸会。"
TEXTS = ("好的。", SENTENCE, SENTENCE * 4)
WAYS: tuple[Transport, ...] = ("websocket", "http")
WARM, COUNTED = 2, 10


async def _first_audio(server: QiniuServer, way: Transport, text: str) -> Percentiles:
    """Milliseconds from the call to the first samples, one call after the other."""
    synthesizer = QiniuSynthesizer(QiniuConfig("sk-bench", server.base_url, way))
    voice, found = VoiceRef("qiniu", VOICES[0][0]), []
    for _ in range(WARM + COUNTED):
        began, first = time.perf_counter(), 0.0
        async for _ in synthesizer.synthesize(text, voice=voice):
            first = first or (time.perf_counter() - began) * 1000
        found.append(first)
    await synthesizer.aclose()
    return Percentiles.of(found[WARM:])


async def measure() -> list[list[str]]:
    """Rows of the table."""
    rows = []
    for rate in TIMES_ITS_LENGTH:
        async with QiniuServer(Pace(tts_first_ms=FIRST_AUDIO_MS, speech_rate=rate)) as server:
            for text in TEXTS:
                firsts = [await _first_audio(server, way, text) for way in WAYS]
                times = [f"{first.p50:.0f} ms" for first in firsts]
                rows.append([f"{rate} times", str(len(text)), *times])
    return rows


if __name__ == "__main__":
    import uvloop

    head = ["made at", "characters", *(f"{way}, first audio p50" for way in WAYS)]
    print(table(head, uvloop.run(measure())))
