"""``/v1/audio/speech``: first byte over the provider's own, and of what is kept already."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvloop

from bench.measure import Percentiles, cpu_seconds
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server

AT_ONCE, ROUNDS, WARM_UP = 20, 3, 2
_PAUSE = 1.0  # seconds between two questions of one caller: what is kept takes no time itself
FORMATS = ("pcm", "mp3", "opus")
# What a vendor of speech needs: so long to the first byte, then so many times real time.
PACE = {"tts_first_ms": 150.0, "speech_rate": 2.0}
_TEXT = "今夜会有东风吗？亮观天象，今夜必有东风，请都督静候佳音。"


@dataclass(frozen=True, slots=True)
class FirstByte:
    """In ms, ``AT_ONCE`` requests at once.

    Attributes:
        provider: Asked directly.
        ours: By format; through the platform, which asks the provider each time.
        kept: Of what the platform has said before.
        core: Share of a core that the platform used, while it asked the provider.
    """

    provider: Percentiles
    ours: Mapping[str, Percentiles]
    kept: Percentiles
    core: float

    def __str__(self) -> str:
        added = ", ".join(
            f"{name} {over.p50:.0f} ms p50 and {over.p95:.0f} p95"
            for name, over in ((n, ours.minus(self.provider.p50)) for n, ours in self.ours.items())
        )
        return (
            f"/v1/audio/speech, {AT_ONCE} at once: first byte over the provider's "
            f"({self.provider.p50:.0f} ms): {added}; of what is kept {self.kept.p50:.0f} ms p50 "
            f"and {self.kept.p95:.0f} p95; {self.core:.2f} of a core"
        )


def measure() -> FirstByte:
    """All in one run, on the same machine."""
    with loopback_providers(**PACE) as provider:
        direct = _ask(provider.base_url, {"model": "loopback", "response_format": "pcm"}, {})
        with _platform(provider, cache="0") as web:
            headers = Client.register(web.base_url).headers
            begun, used = time.monotonic(), cpu_seconds(web.pid)
            ours = {
                name: _ask(f"{web.base_url}/v1", {"response_format": name}, headers)
                for name in FORMATS
            }
            core = (cpu_seconds(web.pid) - used) / (time.monotonic() - begun)
        with _platform(provider, cache="64") as web:
            headers = Client.register(web.base_url).headers
            kept = _ask(f"{web.base_url}/v1", {"response_format": "mp3"}, headers)
    return FirstByte(direct, ours, kept, core)


def _platform(provider: ProviderProcess, cache: str) -> ServerProcess:
    limits = {"RATE_LIMITS": "off", "LOG_FORMAT": "json", "SPEECH_CACHE_MB": cache}
    return start_server({**provider.settings, **limits})


def _ask(base_url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Percentiles:
    return Percentiles.of(uvloop.run(_steady(base_url, fields, headers)))


async def _steady(
    base_url: str, fields: Mapping[str, str], headers: Mapping[str, str]
) -> list[float]:
    """Each caller asks again when it was answered; their starts are spread over a second."""
    body = {"model": "tts-1", "voice": "alloy", "input": _TEXT, **fields}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def ask() -> float:
            begun = time.perf_counter()
            url = f"{base_url}/audio/speech"
            async with session.post(url, json=body) as answer:
                assert answer.status == 200, await answer.text()
                first = await answer.content.readany()
                took = (time.perf_counter() - begun) * 1000
                assert first
                while await answer.content.readany():
                    pass
            await asyncio.sleep(_PAUSE)
            return took

        async def caller(number: int) -> list[float]:
            await asyncio.sleep(number / AT_ONCE)
            return [await ask() for _ in range(WARM_UP + ROUNDS)][WARM_UP:]

        asked: list[Any] = await asyncio.gather(*map(caller, range(AT_ONCE)))
    return [took for each in asked for took in each]
