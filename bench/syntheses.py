"""100 syntheses begun within 2 s over TLS: our client of DashScope against the official SDK.

Both clients talk to the same loopback service, each in a process of its own that is told
over its standard input what to do::

    python -m bench.syntheses ours wss://127.0.0.1:…/api-ws/v1/inference
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi

from bench.measure import Percentiles, cpu_seconds, rss_bytes
from tests.platform import loopback_dashscope
from tests.processes import environment

AT_ONCE = 100
WITHIN = 2.0  # seconds
FIRST_AUDIO = 0.1  # what the service takes, from a complete sentence
SPEECH_RATE = 5  # seconds of audio sent a second after that
# A language model's sentences, and when each is written, in seconds from the begin.
SENTENCES = (
    (0.2, "久仰久仰，实是幸会。"),
    (0.5, "我在此读书抚琴。"),
    (0.8, "且饮一杯热茶。"),
)
FLOOR = SENTENCES[0][0] + FIRST_AUDIO
MODEL, VOICE = "cosyvoice-v3-flash", "longanyang"
MANY = 1_000


@dataclass(frozen=True, slots=True)
class Round:
    """What 100 syntheses of one client took.

    Attributes:
        client: Which, and on which connections.
        start: ms to task-started: from the begin, and of the SDK, which connects with the
            first text, from that text.
        added: ms from the moment at which the service can give the first audio until it is
            there.
        threads: At most, over what the process had before.
        kib_each: Memory at most, over what the process had before, a synthesis.
        cpu_each: ms of CPU time a synthesis.
        failed: How many did not end well.
    """

    client: str
    start: Percentiles
    added: Percentiles
    threads: int
    kib_each: float
    cpu_each: float
    failed: int


@dataclass(frozen=True, slots=True)
class Leak:
    """What our client holds after a second thousand syntheses more than after the first."""

    kib_each: float
    tasks: int
    sockets: int


def measure() -> tuple[list[Round], Leak]:
    """Run everything; a minute."""
    with _service() as (url, certificates), _client("ours", url, certificates) as ours:
        rounds = [ours.round("ours, nothing open"), ours.round("ours, warm pool")]
        with _client("sdk", url, certificates) as sdk:
            rounds.append(sdk.round("official SDK"))
        leak = Leak(**ours.ask("many"))
    return rounds, leak


@contextmanager
def _service() -> Iterator[tuple[str, Path]]:
    """The loopback DashScope: its URL, and a file of all authorities with its own added."""
    pace = {"first_audio_ms": FIRST_AUDIO * 1000, "speech_rate": SPEECH_RATE}
    with (
        tempfile.TemporaryDirectory() as folder,
        loopback_dashscope(tls=True, **pace) as service,
    ):
        bundle = Path(folder) / "authorities.pem"
        bundle.write_text(certifi.contents() + Path(service.ca_file).read_text())
        yield service.websocket_url, bundle


class _Client:
    """A client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, order: str) -> dict[str, Any]:
        """Have it do something; what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client died with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def round(self, name: str) -> Round:
        before, cpu = self._size(), cpu_seconds(self._process.pid)
        most, done = list(before), threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                most[:] = map(max, most, self._size())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            answer = self.ask("round")
        finally:
            done.set()
            watcher.join()
        return Round(
            name,
            Percentiles.of(answer["start"]),
            Percentiles.of(answer["first"]).minus(FLOOR * 1000),
            most[1] - before[1],
            (most[0] - before[0]) / 1024 / AT_ONCE,
            (cpu_seconds(self._process.pid) - cpu) * 1000 / AT_ONCE,
            AT_ONCE - len(answer["first"]),
        )

    def _size(self) -> tuple[int, int]:
        """Resident bytes and threads."""
        pid = self._process.pid
        return rss_bytes(pid), len(os.listdir(f"/proc/{pid}/task"))


@contextmanager
def _client(kind: str, url: str, certificates: Path) -> Iterator[_Client]:
    names = ("SSL_CERT_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE")  # of ours, of the SDK
    with subprocess.Popen(
        [sys.executable, "-m", "bench.syntheses", kind, url],
        env=environment(dict.fromkeys(names, str(certificates))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        client = _Client(process)
        client.ask("ready")
        yield client
        process.communicate()


# In the process of a client

Times = dict[str, list[float]]  # "start" and "first": ms of each synthesis that ended well


async def _ours(url: str) -> None:
    from voice.dashscope.config import DashScopeConfig
    from voice.tts.base import VoiceRef
    from voice.tts.cosyvoice import CosyVoiceSynthesizer

    synthesizer = CosyVoiceSynthesizer(DashScopeConfig("sk-bench", websocket_url=url))
    voice = VoiceRef("dashscope", f"{MODEL}/{VOICE}")

    async def one(times: Times, after: float, *, paced: bool = True) -> None:
        await asyncio.sleep(after)
        began = time.perf_counter()
        started = first = 0.0

        async def texts() -> AsyncIterator[str]:
            nonlocal started
            started = time.perf_counter()  # text is asked for once the task has started
            for due, text in SENTENCES:
                if paced:
                    await asyncio.sleep(began + due - time.perf_counter())
                yield text

        async for piece in synthesizer.synthesize_stream(texts(), voice=voice):
            if isinstance(piece, bytes) and not first:
                first = time.perf_counter()
        times["start"].append((started - began) * 1000)
        times["first"].append((first - began) * 1000)

    async def several(count: int, gap: float, *, paced: bool = True) -> Times:
        times: Times = {"start": [], "first": []}
        tasks = (one(times, number * gap, paced=paced) for number in range(count))
        await asyncio.gather(*tasks, return_exceptions=True)
        return times

    def sockets() -> int:
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sum(os.path.islink(link) and "socket" in os.readlink(link) for link in links)

    async def thousand() -> None:
        for _ in range(MANY // AT_ONCE):
            done = await several(AT_ONCE, 0.01, paced=False)
            if len(done["first"]) != AT_ONCE:
                raise RuntimeError("a synthesis failed")

    async def many() -> dict[str, float]:
        await thousand()  # what it takes once, for as many at a time
        memory, tasks, open_ = rss_bytes(os.getpid()), len(asyncio.all_tasks()), sockets()
        await thousand()
        return {
            "kib_each": (rss_bytes(os.getpid()) - memory) / 1024 / MANY,
            "tasks": len(asyncio.all_tasks()) - tasks,
            "sockets": sockets() - open_,
        }

    while order := await asyncio.to_thread(sys.stdin.readline):
        match order.strip():
            case "ready":
                _tell({})
            case "round":
                _tell(await several(AT_ONCE, WITHIN / AT_ONCE))
            case "many":
                _tell(await many())
    await synthesizer.aclose()


def _sdk(url: str) -> None:
    import dashscope
    from dashscope.audio.tts_v2 import AudioFormat, ResultCallback, SpeechSynthesizer

    dashscope.api_key = "sk-bench"
    dashscope.base_websocket_api_url = url

    class Moments(ResultCallback):  # type: ignore[misc]
        """When the task had started, and when its first audio came."""

        started = first = 0.0

        def on_open(self) -> None:
            self.started = time.perf_counter()

        def on_data(self, data: bytes) -> None:
            self.first = self.first or time.perf_counter()

    def one(times: Times) -> None:
        began, moments = time.perf_counter(), Moments()
        audio_format = AudioFormat.PCM_24000HZ_MONO_16BIT
        speech = SpeechSynthesizer(MODEL, VOICE, format=audio_format, callback=moments)
        asked = 0.0
        for due, text in SENTENCES:
            time.sleep(max(0.0, began + due - time.perf_counter()))
            asked = asked or time.perf_counter()
            speech.streaming_call(text)  # the first one connects and starts the task
        speech.streaming_complete(20_000)
        if moments.first:
            times["start"].append((moments.started - asked) * 1000)
            times["first"].append((moments.first - began) * 1000)

    def round_() -> Times:
        times: Times = {"start": [], "first": []}
        threads = []
        for _ in range(AT_ONCE):
            threads.append(threading.Thread(target=one, args=(times,)))
            threads[-1].start()
            time.sleep(WITHIN / AT_ONCE)
        for thread in threads:
            thread.join()
        return times

    for order in sys.stdin:
        _tell(round_() if order.strip() == "round" else {})


def _tell(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    kind, url = sys.argv[1:]
    if kind == "ours":
        import uvloop

        uvloop.run(_ours(url))
    else:
        _sdk(url)
