"""Short texts by WebSocket and by HTTP: which is heard first, and at what cost.

``python -m bench.short_texts`` runs it: one client a way, in a process of its own, against the
loopback DashScope over TLS, in turns. Connections are warm in both, as they are in use.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi

from bench.measure import Percentiles, table
from tests.processes import environment, start

TEXT = "久仰久仰，今日得见，实是幸会。我在此间读书抚琴，正等一位知音。"
FIRST_AUDIO = 0.1  # seconds that the service takes
ONE_BY_ONE, AT_ONCE, ROUNDS = 20, 20, 4
WAYS = ("websocket", "http")


def measure() -> list[list[str]]:
    """Rows of the table."""
    found: dict[tuple[str, str], list[float]] = {}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    with _service() as (urls, certificates):
        for _ in range(ROUNDS):
            for way in WAYS:
                done = subprocess.run(
                    [sys.executable, "-m", "bench.short_texts", way, json.dumps(urls)],
                    env=environment({"SSL_CERT_FILE": str(certificates)}),
                    capture_output=True,
                    text=True,
                    check=True,
                )
                answer = json.loads(done.stdout)
                cpu[way].append(answer.pop("cpu"))
                for load, times in answer.items():
                    found.setdefault((way, load), []).extend(times)
    rows = []
    for (way, load), times in sorted(found.items()):
        added = Percentiles.of(times).minus(FIRST_AUDIO * 1000)
        row = [way, load, f"{added.p50:.1f} ms", f"{added.p95:.1f} ms"]
        rows.append([*row, f"{statistics.median(cpu[way]):.1f} ms"])
    return rows


@contextmanager
def _service() -> Iterator[tuple[dict[str, str], Path]]:
    command = [sys.executable, "-m", "tests.servers.dashscope", "--tls"]
    command += ["--first-audio-ms", str(FIRST_AUDIO * 1000), "--speech-rate", "20"]
    with (
        tempfile.TemporaryDirectory() as folder,
        start("dashscope", command, environment({})) as process,
    ):
        process.wait_for(lambda: "\n" in process.log())
        told = json.loads(process.log().splitlines()[0])
        bundle = Path(folder) / "authorities.pem"
        bundle.write_text(certifi.contents() + Path(told["ca_file"]).read_text())
        yield told, bundle


async def _client(way: str, urls: dict[str, str]) -> dict[str, object]:
    from voice.dashscope.config import DashScopeConfig
    from voice.tts.base import VoiceRef
    from voice.tts.cosyvoice import CosyVoiceSynthesizer

    config = DashScopeConfig(
        "sk-bench",
        websocket_url=urls["websocket_url"],
        http_url=urls["http_url"],
        short_text="http" if way == "http" else "websocket",
    )
    synthesizer = CosyVoiceSynthesizer(config)
    voice = VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang")

    async def one() -> float:
        began, first = time.perf_counter(), 0.0
        async for _ in synthesizer.synthesize(TEXT, voice=voice):
            first = first or (time.perf_counter() - began) * 1000
        return first

    await asyncio.gather(*[one() for _ in range(AT_ONCE)])  # opens the connections
    before = time.process_time()
    alone = [await one() for _ in range(ONE_BY_ONE)]
    together = [first for _ in range(3) for first in await asyncio.gather(
        *[one() for _ in range(AT_ONCE)])]  # fmt: skip
    used = (time.process_time() - before) * 1000 / (ONE_BY_ONE + 3 * AT_ONCE)
    await synthesizer.aclose()
    return {"alone": alone, f"{AT_ONCE} at once": together, "cpu": used}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvloop

        print(json.dumps(uvloop.run(_client(sys.argv[1], json.loads(sys.argv[2])))))
    else:
        head = ["way", "load", "first audio added p50", "p95", "CPU each"]
        print(table(head, measure()))
