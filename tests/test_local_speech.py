"""Kokoro speaks, Whisper listens: the whole local stack with its real weights."""

import asyncio
import difflib
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from voice.asr.base import Recognizer
from voice.asr.local import WhisperRecognizer
from voice.audio.resample import Resampler
from voice.errors import ProviderError
from voice.tts.base import Synthesizer, VoiceRef
from voice.tts.kokoro import KokoroSynthesizer
from voice.weights import fetch

pytestmark = [pytest.mark.speech, pytest.mark.timeout(600)]
ROOT = Path(__file__).parent.parent


class _Quiet:
    def note(self, text):
        print(text)

    def progress(self, name, done, total):
        pass


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real weights, fetched once into a cache; a failure to get them is a failure."""
    directory = Path(os.environ.get("LIYUAN_TEST_MODELS") or ROOT / ".data" / "models")
    fetch(directory, _Quiet())
    return directory


@pytest.fixture(scope="module")
def kokoro(weights):
    synthesizer = KokoroSynthesizer(weights, threads=2)
    yield synthesizer
    asyncio.run(synthesizer.aclose())


@pytest.fixture(scope="module")
def whisper(weights):
    recognizer = WhisperRecognizer(weights, threads=2)
    yield recognizer
    asyncio.run(recognizer.aclose())


async def speak(kokoro, text, name, speed=1.0) -> bytes:
    voice = VoiceRef("local", name)
    return b"".join([piece async for piece in kokoro.synthesize(text, voice=voice, speed=speed)])


async def pieces(pcm: bytes):
    for at in range(0, len(pcm), 3_200):
        yield pcm[at : at + 3_200]


async def listen(whisper, pcm: bytes, language: str = ""):
    transcripts = [t async for t in whisper.recognize(pieces(pcm), language=language)]
    assert [t.is_final for t in transcripts] == [True]
    return transcripts[0]


def at_16_khz(pcm: bytes) -> bytes:
    resampler = Resampler(24_000, 16_000)
    return resampler.feed(pcm) + resampler.flush()


def alike(heard: str, said: str) -> float:
    heard, said = (re.sub(r"[^\w]", "", text.lower()) for text in (heard, said))
    return difflib.SequenceMatcher(None, heard, said).ratio()


def test_they_are_what_the_pipeline_asks_for(weights):
    assert isinstance(KokoroSynthesizer(weights), Synthesizer)
    assert isinstance(WhisperRecognizer(weights), Recognizer)


@pytest.mark.parametrize(
    ("voice", "language", "text", "heard_as"),
    [
        ("zf_xiaoxiao", "zh", "今天天气很好，我们一起去公园散步吧。", ""),
        ("zm_yunxi", "zh", "我有2个苹果，花了15元。", "我有两个苹果,花了15元"),
        ("zm_yunyang", "zh", "我昨天用Google找到了一家很好的餐厅。", ""),
        ("af_heart", "en", "The quick brown fox jumps over the lazy dog.", ""),
        ("bm_george", "en", "I have read the letter, and the record is used to prove it.", ""),
        (
            "am_michael",
            "en",
            "Blockchains, chatbots and Hogwarts are not in any old dictionary.",
            "",
        ),
    ],
)
async def test_what_is_said_is_heard(kokoro, whisper, voice, language, text, heard_as):
    pcm = await speak(kokoro, text, voice)
    assert 0.06 * len(text) < len(pcm) / 48_000 < 0.6 * len(text)
    transcript = await listen(whisper, at_16_khz(pcm))
    assert transcript.language == language
    assert alike(transcript.text, heard_as or text) > 0.75, transcript.text


async def test_speed_changes_the_length(kokoro):
    slow = await speak(kokoro, "Once upon a time there was a king.", "af_bella", 0.7)
    fast = await speak(kokoro, "Once upon a time there was a king.", "af_bella", 1.6)
    assert len(slow) > 1.6 * len(fast)


async def test_the_first_sentence_sounds_before_the_last_is_made(kokoro):
    await kokoro.warm()
    began, arrivals = time.monotonic(), []
    voice = VoiceRef("local", "zf_xiaoyi")
    async for piece in kokoro.synthesize("你好。" + "我们慢慢说这个长长的故事。" * 6, voice=voice):
        assert piece
        assert len(piece) % 2 == 0
        arrivals.append(time.monotonic() - began)
    assert len(arrivals) > 2
    assert arrivals[0] < arrivals[-1] / 2


async def test_the_loop_stays_free_and_callers_take_turns(kokoro):
    await kokoro.warm()
    voice, order, late = VoiceRef("local", "af_heart"), [], []

    async def caller(name, text):
        async for piece in kokoro.synthesize(text, voice=voice):
            assert piece
            order.append(name)

    async def pulse():
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - began - 0.01)

    beating = asyncio.create_task(pulse())
    long = "This is one of the many sentences of a rather long story that somebody tells. " * 4
    await asyncio.gather(caller("long", long), caller("short", "Good morning to you."))
    beating.cancel()
    assert order.index("short") < 3
    assert order.count("long") > 2
    assert np.median(late) < 0.1


async def test_closing_stops_before_the_next_clause(kokoro):
    await kokoro.warm()
    long = "This is one of the many sentences of a rather long story that somebody tells. " * 20
    stream = kokoro.synthesize(long, voice=VoiceRef("local", "af_heart"))
    began = time.monotonic()
    await anext(stream)
    clause = time.monotonic() - began
    await stream.aclose()
    began = time.monotonic()
    await speak(kokoro, "Hi.", "af_heart")  # some nine clauses of the other text are not made
    assert time.monotonic() - began < 3 * clause + 1


async def test_a_cancelled_task_leaves_the_queue_usable(kokoro):
    await kokoro.warm()
    text = "This is a sentence that takes a little while to be made. " * 5
    tasks = [asyncio.create_task(speak(kokoro, text, "af_heart")) for _ in range(4)]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(r, asyncio.CancelledError)
        for r in await asyncio.gather(*tasks, return_exceptions=True)
    )
    assert await speak(kokoro, "Hello there.", "af_heart")


async def test_long_text_is_spoken_to_its_end(kokoro, whisper):
    text = "春眠不觉晓，处处闻啼鸟，夜来风雨声，花落知多少，" * 3 + "最后我们说再见。"
    pcm = await speak(kokoro, text, "zf_xiaoni", 1.3)
    assert "再见" in (await listen(whisper, at_16_khz(pcm[-48_000 * 4 :]), "zh")).text


async def test_nothing_to_say_is_silence(kokoro):
    assert await speak(kokoro, "……😀", "zf_xiaoxiao") == b""


@pytest.mark.parametrize("name", ["zf_nobody", "../whisper-base/model", "alloy", ""])
async def test_an_unknown_voice_is_a_bad_request(kokoro, name):
    with pytest.raises(ProviderError) as caught:
        await speak(kokoro, "Hello.", name)
    assert (caught.value.reason, caught.value.retryable) == ("bad_request", False)


async def test_text_and_speed_beyond_the_limits(kokoro):
    for text, speed in (("好" * 4_001, 1.0), ("好", 0.4), ("好", 2.1)):
        with pytest.raises(ProviderError) as caught:
            await speak(kokoro, text, "zf_xiaoxiao", speed)
        assert caught.value.reason == "bad_request"


async def test_without_weights_the_message_says_what_to_do(tmp_path):
    kokoro, whisper = KokoroSynthesizer(tmp_path), WhisperRecognizer(tmp_path)
    for attempt in (
        speak(kokoro, "你好", "zf_xiaoxiao"),
        kokoro.warm(),
        whisper.warm(),
        listen(whisper, bytes(32_000)),
    ):
        with pytest.raises(ProviderError, match="fetch_models") as caught:
            await attempt
        assert (caught.value.reason, caught.value.provider) == ("unavailable", "local")
    await kokoro.aclose()
    await whisper.aclose()


async def test_damaged_weights_are_unavailable(tmp_path):
    (tmp_path / "kokoro").mkdir()
    (tmp_path / "kokoro/kokoro-v1.0.int8.onnx").write_bytes(b"not a model")
    (tmp_path / "whisper-base").mkdir()
    (tmp_path / "whisper-base/model.bin").write_bytes(b"not a model")
    for broken in (KokoroSynthesizer(tmp_path), WhisperRecognizer(tmp_path)):
        with pytest.raises(ProviderError, match="does not load"):
            await broken.warm()
        await broken.aclose()


@pytest.mark.parametrize("loudness", [0, 30, 300])
async def test_silence_and_noise_say_nothing(whisper, loudness):
    noise = np.random.default_rng(3).normal(0, loudness, 16_000 * 4).astype("<i2").tobytes()
    assert (await listen(whisper, noise)).text == ""


async def test_hardly_any_audio(whisper):
    assert (await listen(whisper, b"")).text == ""
    assert (await listen(whisper, b"\0\0" * 800)).text == ""


async def test_bad_audio_is_a_bad_request(whisper):
    for pcm in (bytes(16_001), bytes(32_000 * 121)):
        with pytest.raises(ProviderError) as caught:
            await listen(whisper, pcm)
        assert caught.value.reason == "bad_request"


async def test_utterances_of_several_people_at_once(kokoro, whisper):
    chinese = at_16_khz(await speak(kokoro, "我们明天早上八点出发。", "zm_yunjian"))
    english = at_16_khz(await speak(kokoro, "We leave tomorrow morning.", "af_bella"))
    heard = await asyncio.gather(
        listen(whisper, chinese, "zh"), listen(whisper, english, "en"), listen(whisper, chinese)
    )
    assert alike(heard[1].text, "We leave tomorrow morning") > 0.8
    assert alike(heard[0].text, "我们明天早上8点出发") > 0.7
    assert heard[2].language == "zh"
