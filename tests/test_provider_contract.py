"""What every provider owes its callers, over the registries: bare, and as a chain of one."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from chat.llm import registry as llm_registry
from chat.llm.base import Completion, LanguageModel, Persona, Prompt, PromptMessage, TextDelta
from tests.servers import voiced
from tests.servers.dashscope import DashScopeServer
from tests.servers.openai_api import OpenAIServer
from tests.servers.qiniu import QiniuServer
from voice import weights
from voice.asr import registry as asr_registry
from voice.asr.base import Recognizer, Transcript
from voice.dashscope.config import DashScopeConfig
from voice.errors import ProviderError
from voice.qiniu.config import QiniuConfig
from voice.registry import ProviderConfig
from voice.tts import registry as tts_registry
from voice.tts.base import Synthesizer, VoiceRef

PROMPT = Prompt(
    (PromptMessage("system", "你是诸葛亮。"), PromptMessage("user", "先生可好？请多说几句。")),
    Persona(name="诸葛亮", greeting="亮在此。", description="蜀汉丞相，隐居隆中，善谋略。"),
)
VOICES = {
    "openai": VoiceRef("openai", "alloy"),
    "dashscope": VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang"),
    "qiniu": VoiceRef("qiniu", "qiniu_zh_female_wwxkjx"),
    "local": VoiceRef("local", "zf_xiaoxiao"),
}
SENTENCE = "今天天气很好，我们出去走走吧。"


def each_of(factories: dict[str, Any]) -> pytest.MarkDecorator:
    """Every name, bare and in a chain; what needs weights is marked, slow, and only bare."""
    return pytest.mark.parametrize(
        ("name", "chained"),
        [
            pytest.param(
                *(name, chained),
                marks=[pytest.mark.speech] if name == "local" else [],
                id=f"{name}-{'chain' if chained else 'bare'}",
            )
            for name in factories
            for chained in ((False,) if name == "local" else (False, True))
        ],
    )


@pytest.fixture
async def loopback() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def dashscope() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key="sk-dashscope") as running:
        yield running


@pytest.fixture
async def qiniu() -> AsyncIterator[QiniuServer]:
    async with QiniuServer(api_key="sk-qiniu") as running:
        yield running


class _Silent:
    """Nobody watches the download."""

    def note(self, text: str) -> None: ...

    def progress(self, name: str, done: int, total: int) -> None: ...


@pytest.fixture
def config(
    request: pytest.FixtureRequest,
    loopback: OpenAIServer,
    dashscope: DashScopeServer,
    qiniu: QiniuServer,
) -> ProviderConfig:
    if request.node.get_closest_marker("speech"):
        try:
            weights.fetch(settings.MODELS_DIR, _Silent())
        except weights.WeightsUnavailableError as error:
            pytest.fail(str(error))
    return ProviderConfig(
        base_url=loopback.base_url,
        model="loopback",
        dashscope=DashScopeConfig(
            "sk-dashscope", websocket_url=dashscope.websocket_url, http_url=dashscope.http_url
        ),
        qiniu=QiniuConfig("sk-qiniu", qiniu.base_url),
        models_dir=settings.MODELS_DIR,
    )


async def closed(iterator: AsyncIterator[Any]) -> None:
    await iterator.aclose()  # type: ignore[attr-defined]


# Language models


@pytest.fixture
async def model(name: str, chained: bool, config: ProviderConfig) -> AsyncIterator[LanguageModel]:
    if not chained:
        built: LanguageModel = llm_registry.FACTORIES[name](config)
    else:
        built = llm_registry.build_llm(config if name == "openai" else ProviderConfig())
    yield built
    await built.aclose()


@each_of(llm_registry.FACTORIES)
async def test_a_model_streams_text_and_then_one_completion(model: LanguageModel) -> None:
    assert isinstance(model, LanguageModel)
    assert model.name
    *deltas, last = [item async for item in model.stream(PROMPT, max_tokens=400)]
    assert deltas
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas)
    assert isinstance(last, Completion)
    assert last.finish_reason == "stop"
    assert last.completion_tokens > 0


@each_of(llm_registry.FACTORIES)
async def test_a_model_keeps_to_the_limit_of_tokens(model: LanguageModel) -> None:
    *deltas, last = [item async for item in model.stream(PROMPT, max_tokens=3)]
    assert last.finish_reason == "length"
    assert len("".join(delta.text for delta in deltas)) <= 12


@each_of(llm_registry.FACTORIES)
async def test_a_model_can_be_left_in_the_middle_and_asked_again(model: LanguageModel) -> None:
    left = model.stream(PROMPT, max_tokens=400)
    await anext(left)
    await closed(left)
    replies = await asyncio.gather(*[_all(model.stream(PROMPT, max_tokens=400)) for _ in range(3)])
    assert all(isinstance(reply[-1], Completion) for reply in replies)


@each_of(llm_registry.FACTORIES)
async def test_a_model_refuses_an_empty_prompt(model: LanguageModel) -> None:
    with pytest.raises(ProviderError) as caught:
        await _all(model.stream(Prompt(()), max_tokens=10))
    assert caught.value.reason == "bad_request"
    assert not caught.value.retryable


@each_of(llm_registry.FACTORIES)
async def test_a_closed_model_is_not_used(model: LanguageModel) -> None:
    await model.aclose()
    with pytest.raises((RuntimeError, ProviderError)):
        await _all(model.stream(PROMPT, max_tokens=10))


# Recognisers


@pytest.fixture
async def recognizer(name: str, chained: bool, config: ProviderConfig) -> AsyncIterator[Recognizer]:
    built: Recognizer = (
        asr_registry.build_recognizer([name], config)
        if chained
        else asr_registry.FACTORIES[name](config)
    )
    yield built
    await built.aclose()


async def audio(pcm: bytes, size: int = 3_200) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def one_final(transcripts: list[Transcript]) -> Transcript:
    assert [each.is_final for each in transcripts] == [False] * (len(transcripts) - 1) + [True]
    return transcripts[-1]


@each_of(asr_registry.FACTORIES)
async def test_a_recogniser_ends_with_one_final_transcript(recognizer: Recognizer) -> None:
    assert isinstance(recognizer, Recognizer)
    assert recognizer.capabilities.max_seconds >= 30
    for size in (2, 1_000_000):
        pcm = voiced.pcm(0.5, 16_000)
        one_final(await _all(recognizer.recognize(audio(pcm, size), language="zh")))


@each_of(asr_registry.FACTORIES)
@pytest.mark.parametrize("seconds", [0.0, 0.02, 2.0])
async def test_silence_is_an_empty_transcript(recognizer: Recognizer, seconds: float) -> None:
    silence = bytes(int(seconds * 16_000) * 2)
    assert one_final(await _all(recognizer.recognize(audio(silence)))).text == ""


@each_of(asr_registry.FACTORIES)
async def test_a_recogniser_can_be_left_and_asked_again(recognizer: Recognizer) -> None:
    pcm = voiced.pcm(1, 16_000)
    task = asyncio.create_task(_all(recognizer.recognize(audio(pcm))))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found = await asyncio.gather(*[_all(recognizer.recognize(audio(pcm))) for _ in range(2)])
    assert all(one_final(transcripts) for transcripts in found)


@each_of(asr_registry.FACTORIES)
async def test_a_closed_recogniser_is_not_used(recognizer: Recognizer) -> None:
    await recognizer.aclose()
    with pytest.raises((RuntimeError, ProviderError)):
        await _all(recognizer.recognize(audio(voiced.pcm(1, 16_000))))


# Synthesisers


@pytest.fixture
async def synthesizer(
    name: str, chained: bool, config: ProviderConfig
) -> AsyncIterator[Synthesizer]:
    built: Synthesizer = (
        tts_registry.build_synthesizer([name], config, lambda _, other: VOICES[other])
        if chained
        else tts_registry.FACTORIES[name](config)
    )
    yield built
    await built.aclose()


@each_of(tts_registry.FACTORIES)
async def test_a_synthesiser_gives_whole_samples_of_the_length_of_the_text(
    name: str, synthesizer: Synthesizer
) -> None:
    assert isinstance(synthesizer, Synthesizer)
    assert synthesizer.capabilities.max_characters >= 100
    pieces = await _all(synthesizer.synthesize(SENTENCE, voice=VOICES[name]))
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    seconds = sum(map(len, pieces)) / 2 / synthesizer.capabilities.sample_rate
    assert 1.5 < seconds < 8


@each_of(tts_registry.FACTORIES)
async def test_a_synthesiser_heeds_the_speed(name: str, synthesizer: Synthesizer) -> None:
    fast, slow = [
        sum(map(len, await _all(synthesizer.synthesize(SENTENCE, voice=VOICES[name], speed=speed))))
        for speed in (2.0, 0.5)
    ]
    assert slow > 2 * fast


@each_of(tts_registry.FACTORIES)
async def test_a_synthesiser_can_be_left_and_asked_again(
    name: str, synthesizer: Synthesizer
) -> None:
    left = synthesizer.synthesize(SENTENCE, voice=VOICES[name])
    assert await anext(left)
    await closed(left)
    spoken = await asyncio.gather(
        *[_all(synthesizer.synthesize("好。", voice=VOICES[name])) for _ in range(2)]
    )
    assert all(spoken)


@each_of(tts_registry.FACTORIES)
async def test_a_closed_synthesiser_is_not_used(name: str, synthesizer: Synthesizer) -> None:
    await synthesizer.aclose()
    with pytest.raises((RuntimeError, ProviderError)):
        await _all(synthesizer.synthesize(SENTENCE, voice=VOICES[name]))


async def _all(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


# The registries


def test_without_a_server_the_understudy_plays() -> None:
    assert llm_registry.build_llm(ProviderConfig()).capabilities.offline
    served = llm_registry.build_llm(ProviderConfig(base_url="http://127.0.0.1:9/v1", model="m"))
    assert (served.name, served.capabilities.offline) == ("openai", False)


@pytest.mark.parametrize(
    "build",
    [
        lambda names, config: asr_registry.build_recognizer(names, config),
        lambda names, config: tts_registry.build_synthesizer(names, config, lambda *_: None),
    ],
    ids=["asr", "tts"],
)
def test_wrong_settings_are_told(
    build: Callable[[list[str], ProviderConfig], Recognizer | Synthesizer],
) -> None:
    good = ProviderConfig(base_url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(ValueError, match=r"unknown: openia; known: .*openai"):
        build(["openai", "openia"], good)
    with pytest.raises(ValueError, match="needs a base_url"):
        build(["openai"], ProviderConfig(model="m"))
    with pytest.raises(ValueError, match="needs a model"):
        build(["openai"], ProviderConfig(base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(ValueError, match="qiniu needs an api_key"):
        build(["qiniu"], good)
    with pytest.raises(ValueError, match="needs a provider"):
        build([], good)
    assert build(["openai", "openai"], good).name == "openai"


def test_a_configuration_does_not_show_its_key() -> None:
    assert "sk-secret" not in repr(ProviderConfig(api_key="sk-secret"))


def test_a_provider_s_libraries_are_loaded_when_it_is_used() -> None:
    code = (
        "import sys\n"
        "from chat.llm.registry import build_llm\n"
        "import voice.asr.registry, voice.tts.registry\n"
        "from voice.registry import ProviderConfig\n"
        "build_llm(ProviderConfig())\n"
        "print(*{'openai', 'onnxruntime', 'ctranslate2', 'faster_whisper', 'django'}"
        " & set(sys.modules))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
