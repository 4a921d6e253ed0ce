"""Text that is spoken while it is written: over a chain of providers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.servers import voiced
from tests.servers.behaviour import Behaviour as OpenAIBehaviour
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour
from tests.servers.openai_api import OpenAIServer
from voice.attempts import collected
from voice.dashscope.config import DashScopeConfig, Patience
from voice.errors import ProviderError
from voice.registry import ProviderConfig
from voice.replay import Replay
from voice.tts.base import IncrementalSynthesizer, SentenceBegins, VoiceRef
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.registry import FACTORIES

KEY = "sk-0123456789abcdef"
VOICE = VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang")
NEAREST = {"openai": VoiceRef("openai", "alloy"), "dashscope": VOICE}
SEGMENTS = ("久仰久仰，今日得见。", "请坐！", "Tea?")


@pytest.fixture
async def dashscope() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running:
        yield running


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def chain_of(dashscope: DashScopeServer, openai: OpenAIServer) -> AsyncIterator[Any]:
    made: list[FallbackSynthesizer] = []

    def make(*names: str) -> FallbackSynthesizer:
        config = ProviderConfig(
            base_url=openai.base_url,
            model="loopback",
            dashscope=DashScopeConfig(
                KEY,
                websocket_url=dashscope.websocket_url,
                http_url=dashscope.http_url,
                patience=Patience(started=1, first_audio=1, silence=1),
            ),
        )
        providers = {name: FACTORIES[name](config) for name in names}
        made.append(FallbackSynthesizer(providers, lambda _, name: NEAREST.get(name)))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


async def written(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(0.01)
        yield text


async def spoken(
    chain: FallbackSynthesizer, *texts: str, voice: VoiceRef = VOICE
) -> tuple[str, float]:
    """The text that was told, and the seconds that were heard."""
    items = [item async for item in chain.synthesize_stream(written(*texts), voice=voice)]
    text = "".join(item.text for item in items if isinstance(item, SentenceBegins))
    pcm = b"".join(item for item in items if isinstance(item, bytes))
    assert not items or isinstance(items[0], SentenceBegins)
    return text, len(pcm) / 2 / chain.capabilities.sample_rate


async def test_a_chain_streams_where_the_voice_s_provider_does(dashscope, chain_of):
    chain = chain_of("dashscope")
    assert isinstance(chain, IncrementalSynthesizer)
    assert chain.capabilities.incremental == {"dashscope"}
    with collected() as attempts:
        text, seconds = await spoken(chain, *SEGMENTS)
    assert text.rstrip() == "".join(SEGMENTS)
    assert seconds == pytest.approx(voiced.seconds_of(text), abs=0.2)
    assert dashscope.count("tts", "started") == 1
    (attempt,) = attempts
    assert (attempt.provider, attempt.outcome) == ("dashscope", "ok")
    assert attempt.units == {"characters": len("".join(SEGMENTS))}


async def test_a_provider_that_takes_no_stream_speaks_segment_by_segment(openai, chain_of):
    chain = chain_of("openai")
    assert chain.capabilities.incremental == frozenset()
    text, seconds = await spoken(chain, *SEGMENTS, voice=NEAREST["openai"])
    assert text == "".join(SEGMENTS)
    assert seconds == pytest.approx(sum(map(voiced.seconds_of, SEGMENTS)), abs=0.2)
    assert openai.count("speech", "finished") == 3


@pytest.mark.parametrize(
    ("kind", "behaviour"),
    [
        ("connect", Behaviour(status=401)),
        ("connect", Behaviour(status=503)),
        ("tts", Behaviour(fault="drop_start")),
        ("tts", Behaviour(fault="stall_first")),
        ("tts", Behaviour(fault="fail_start", code="Arrearage")),
    ],
)
async def test_before_any_audio_the_next_provider_gets_all_the_text(
    dashscope, openai, chain_of, kind, behaviour
):
    dashscope.always(kind, behaviour)
    with collected() as attempts:
        text, seconds = await spoken(chain_of("dashscope", "openai"), *SEGMENTS)
    assert text == "".join(SEGMENTS)
    assert seconds > 2
    assert attempts[0].provider == "dashscope"
    assert (attempts[-1].provider, attempts[-1].outcome) == ("openai", "ok")


async def test_after_audio_nobody_else_goes_on(dashscope, openai, chain_of):
    dashscope.always("tts", Behaviour(fault="drop_middle"))
    with pytest.raises(ProviderError) as error:
        await spoken(chain_of("dashscope", "openai"), "只有一句。")
    assert error.value.reason == "incomplete"
    assert openai.count("speech", "started") == 0


async def test_a_chain_converts_to_the_rate_of_its_first(openai, chain_of):
    openai.always("speech", OpenAIBehaviour())
    chain = chain_of("openai", "dashscope")
    text, seconds = await spoken(chain, *SEGMENTS)
    assert text.rstrip() == "".join(SEGMENTS)
    assert seconds == pytest.approx(voiced.seconds_of(text), abs=0.2)


async def test_a_connection_is_made_before_there_is_text(dashscope, chain_of):
    came = asyncio.Event()

    async def writer() -> AsyncIterator[str]:
        await came.wait()
        yield "来了。"

    stream = chain_of("dashscope").synthesize_stream(writer(), voice=VOICE)
    first = asyncio.create_task(anext(stream))
    async with asyncio.timeout(3):
        while dashscope.connections_opened == 0:
            await asyncio.sleep(0.01)
    assert dashscope.count("tts", "started") == 0
    came.set()
    assert await first == SentenceBegins("来了。")
    assert dashscope.connections_opened == 1
    await stream.aclose()


async def test_no_text_asks_nobody(dashscope, chain_of):
    assert await spoken(chain_of("dashscope")) == ("", 0.0)
    assert dashscope.count("tts", "started") == 0


async def test_a_left_stream_stops_the_writer_and_the_provider(dashscope, chain_of):
    closed = asyncio.Event()

    async def writer() -> AsyncIterator[str]:
        try:
            yield "第一句。"
            await asyncio.Event().wait()
        finally:
            closed.set()

    tasks = asyncio.all_tasks()
    stream = chain_of("dashscope").synthesize_stream(writer(), voice=VOICE)
    while not isinstance(await anext(stream), bytes):
        pass
    await stream.aclose()
    assert closed.is_set()
    async with asyncio.timeout(3):
        while dashscope.connections_open or asyncio.all_tasks() - tasks:
            await asyncio.sleep(0.01)


async def test_a_stream_can_be_heard_again_while_it_comes_in():
    kept = Replay(written("一", "二", "三"))
    first = aiter(kept)
    assert await anext(first) == "一"
    assert [item async for item in kept] == ["一", "二", "三"]
    assert [item async for item in first] == ["二", "三"]
    assert not await kept.more()
    await kept.aclose()


async def test_a_cancelled_listener_does_not_break_a_stream():
    kept = Replay(written("一", "二"))
    listener = asyncio.create_task(anext(aiter(kept)))
    await asyncio.sleep(0)
    listener.cancel()
    assert [item async for item in kept] == ["一", "二"]
    await kept.aclose()
