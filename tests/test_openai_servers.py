"""Each row of the OpenAI-style servers against a server with its quirks, over real sockets."""

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.checks import providers_can_be_built
from tests.servers import voiced
from tests.servers.behaviour import Behaviour
from tests.servers.openai_answers import TRANSCRIPT
from tests.servers.openai_api import OpenAIServer
from tests.servers.openai_quirks import QUIRKS
from voice.asr.openai import OpenAIRecognizer
from voice.asr.registry import build_recognizer
from voice.audio.codecs import AudioError, wav_bytes
from voice.errors import ProviderError
from voice.openai_servers import GENERIC, ROWS, SpeechRow, server_row
from voice.openai_voices import ServerVoice, list_voices
from voice.registry import ProviderConfig
from voice.tts.base import VoiceRef
from voice.tts.openai import OpenAISynthesizer
from voice.tts.pcm_decoding import AnyDecoder
from voice.tts.registry import build_synthesizer

TEXT = "久仰久仰，今日得见，实是幸会。"
SECONDS = voiced.seconds_of(TEXT)
# OpenAI's names are not known to these.
VOICES = {"groq": "hannah", "siliconflow": "alex"}
MODELS = {"siliconflow": "FunAudioLLM/CosyVoice2-0.5B"}


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


def speaker(server: OpenAIServer, name: str, row: SpeechRow | None = None) -> OpenAISynthesizer:
    row = row or ROWS[name].speech
    return OpenAISynthesizer(server.base_url, "k", MODELS.get(name, "m"), row=row)


async def spoken(
    synthesizer: OpenAISynthesizer, name: str = "generic", text: str = TEXT, speed: float = 1.0
) -> bytes:
    voice = VoiceRef("openai", VOICES.get(name, "alloy"))
    pieces = [each async for each in synthesizer.synthesize(text, voice=voice, speed=speed)]
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    return b"".join(pieces)


def seconds_of(pcm: bytes) -> float:
    return len(pcm) / 2 / 24_000


async def said() -> AsyncIterator[bytes]:
    yield voiced.pcm(1, 16_000)


def test_there_are_quirks_for_every_row() -> None:
    assert QUIRKS.keys() == ROWS.keys()
    for name, row in ROWS.items():
        assert (row.speech is None) == (QUIRKS[name].speech is None), name
        assert (row.transcription is None) == (QUIRKS[name].transcription is None), name


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.speech])
async def test_a_server_of_each_kind_is_spoken_by(server: OpenAIServer, name: str) -> None:
    row, behaviour = ROWS[name].speech, QUIRKS[name].speech
    assert row is not None
    assert behaviour is not None
    server.always("speech", behaviour)
    synthesizer = speaker(server, name)
    for speed in (1.0, 2.0):
        pcm = await spoken(synthesizer, name, speed=speed)
        assert abs(seconds_of(pcm) - SECONDS / speed) < 0.15
        assert np.abs(np.frombuffer(pcm, "<i2")).max() > 8_000
    # Its row knows it: nothing had to be asked twice.
    assert server.count("speech", "started") == 2
    body = server.last("speech").body
    assert body["response_format"] == row.formats[0]
    assert ("speed" in body) == row.speed
    assert ("sample_rate" in body) == row.asks_sample_rate
    assert body.items() >= dict(row.extra_body).items()
    await synthesizer.aclose()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.speech])
async def test_text_that_is_too_long_for_a_request_goes_in_several(
    server: OpenAIServer, name: str
) -> None:
    behaviour = QUIRKS[name].speech
    assert behaviour is not None
    server.always("speech", behaviour)
    synthesizer = speaker(server, name)
    text = TEXT * 17  # 255 characters
    assert synthesizer.capabilities.max_characters >= 4_096
    pcm = await spoken(synthesizer, name, text)
    requests = [each.body["input"] for each in server.script.exchanges]
    assert "".join(requests) == text
    assert len(requests) == (2 if name == "groq" else 1)
    assert abs(seconds_of(pcm) - voiced.seconds_of(text)) < 0.3
    await synthesizer.aclose()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.transcription])
async def test_a_server_of_each_kind_is_listened_by(server: OpenAIServer, name: str) -> None:
    behaviour = QUIRKS[name].transcription
    assert behaviour is not None
    server.always("transcriptions", behaviour)
    recognizer = OpenAIRecognizer(server.base_url, "k", "m", row=ROWS[name].transcription)
    found = [each async for each in recognizer.recognize(said(), language="zh")]
    assert [each.text for each in found] == [TRANSCRIPT]
    assert server.count("transcriptions", "started") == 1
    assert ("language" in server.last("transcriptions").body) == (name != "siliconflow")
    await recognizer.aclose()


# Servers that the row does not fit


@pytest.mark.parametrize("envelope", ["openai", "flat", "fastapi"])
@pytest.mark.parametrize("names_field", [True, False])
async def test_a_field_that_is_refused_is_left_out_and_remembered(
    server: OpenAIServer, envelope: str, names_field: bool
) -> None:
    row = replace(SpeechRow(), extra_body={"gain": 0})
    refusing = Behaviour(
        rejects=("gain",),
        names_field=names_field,
        envelope=envelope,  # type: ignore[arg-type]
    )
    server.always("speech", refusing)
    synthesizer = speaker(server, "generic", row)
    for _ in range(2):
        assert abs(seconds_of(await spoken(synthesizer)) - SECONDS) < 0.01
    sent = [each.body.keys() >= {"gain"} for each in server.script.exchanges]
    assert sent == [True, False, False]
    await synthesizer.aclose()


async def test_a_speed_that_is_refused_is_made_here(server: OpenAIServer) -> None:
    server.always("speech", Behaviour(rejects=("speed",)))
    synthesizer = speaker(server, "generic")
    for speed in (2.0, 0.5):
        pcm = await spoken(synthesizer, speed=speed)
        assert abs(seconds_of(pcm) - SECONDS / speed) < 0.15
    assert server.count("speech", "started") == 3
    await synthesizer.aclose()


async def test_samples_of_an_unknown_rate_are_not_asked_for(server: OpenAIServer) -> None:
    server.always("speech", Behaviour(rejects=("sample_rate",), native_rate=16_000))
    synthesizer = speaker(server, "speaches")
    for _ in range(2):
        assert abs(seconds_of(await spoken(synthesizer)) - SECONDS) < 0.05
    formats = [each.body["response_format"] for each in server.script.exchanges]
    assert formats == ["pcm", "wav", "wav"]
    await synthesizer.aclose()


async def test_a_format_that_is_refused_is_not_asked_for_again(server: OpenAIServer) -> None:
    server.always("speech", Behaviour(formats=("mp3",)))
    synthesizer = speaker(server, "generic")
    for _ in range(2):
        assert abs(seconds_of(await spoken(synthesizer)) - SECONDS) < 0.15
    formats = [each.body["response_format"] for each in server.script.exchanges]
    assert formats == ["pcm", "wav", "mp3", "mp3"]
    await synthesizer.aclose()


async def test_a_request_that_is_wrong_in_itself_is_not_asked_often(server: OpenAIServer) -> None:
    server.always("speech", Behaviour(voices=("nobody",)))
    synthesizer = speaker(server, "generic")
    with pytest.raises(ProviderError) as caught:
        await spoken(synthesizer, speed=2.0)
    assert caught.value.reason == "bad_request"
    assert server.count("speech", "started") == 2
    await synthesizer.aclose()


async def test_fields_of_recognition_that_are_refused_are_left_out(server: OpenAIServer) -> None:
    server.always("transcriptions", Behaviour(rejects=("language",)))
    recognizer = OpenAIRecognizer(server.base_url, "k", "m")
    for _ in range(2):
        found = [each async for each in recognizer.recognize(said(), language="zh")]
        assert found[-1].text == TRANSCRIPT
    sent = ["language" in each.body for each in server.script.exchanges]
    assert sent == [True, False, False]
    await recognizer.aclose()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(status=400, code="20012", envelope="flat"), "unavailable"),
        (Behaviour(status=400, code="20015", envelope="flat"), "bad_request"),
        (Behaviour(status=429, envelope="flat"), "rate_limited"),
        (Behaviour(status=401, envelope="flat"), "auth"),
        (Behaviour(status=503, envelope="fastapi"), "unavailable"),
        (Behaviour(sends_format="text", content_type="audio/pcm"), "unavailable"),
        (Behaviour(sends_format="text", content_type="application/json"), "unavailable"),
    ],
)
async def test_failures_in_other_words(
    server: OpenAIServer, behaviour: Behaviour, reason: str
) -> None:
    server.always("speech", behaviour)
    synthesizer = speaker(server, "siliconflow")
    with pytest.raises(ProviderError) as caught:
        await spoken(synthesizer)
    assert caught.value.reason == reason
    if behaviour.sends_format == "text":
        assert "out for lunch" in str(caught.value)
    else:
        assert ("Scripted failure." in str(caught.value)) == (reason != "auth")
        assert ("(request ti_loopback)" in str(caught.value)) == (behaviour.envelope == "flat")
    await synthesizer.aclose()


@pytest.mark.parametrize("asked", ["pcm", "wav", "mp3"])
@pytest.mark.parametrize("sent", ["wav", "mp3"])
@pytest.mark.parametrize("piece_bytes", [1, 4_800])
async def test_another_format_than_asked_for_is_told_by_its_bytes(
    server: OpenAIServer, asked: str, sent: str, piece_bytes: int
) -> None:
    text = "好。" if piece_bytes == 1 else TEXT
    behaviour = Behaviour(
        sends_format=sent,  # type: ignore[arg-type]
        content_type="text/plain",
        piece_bytes=piece_bytes,
    )
    server.always("speech", behaviour)
    synthesizer = speaker(server, "generic", SpeechRow(formats=(asked,)))  # type: ignore[arg-type]
    assert abs(seconds_of(await spoken(synthesizer, text=text)) - voiced.seconds_of(text)) < 0.15
    await synthesizer.aclose()


@given(
    samples=st.binary(max_size=6_000),
    cut=st.integers(1, 3_000),
    first=st.sampled_from([b"", b"\xff\xfb", b"\xff\xf1", b"\0\0\0 ftyp", bytes(4)]),
)
def test_raw_samples_are_not_taken_for_anything_else(
    samples: bytes, cut: int, first: bytes
) -> None:
    """Some begin by chance like a frame of mp3 or AAC, or like a file of MP4."""
    data = (first + b"\0\x80" + samples) if first else bytes(16) + samples
    decoder, heard = AnyDecoder(24_000, 24_000), b""
    for start in range(0, len(data), cut):
        heard += decoder.feed(data[start : start + cut])
    assert heard + decoder.finish() == data[: len(data) & ~1]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"code":20012,"message":"Model does not exist"}', "Model does not exist"),
        ("服务暂时不可用，请稍后再试。".encode(), "服务暂时不可用"),
        (b"<html><body>Bad gateway</body></html>", "Bad gateway"),
        (b"OggS" + bytes(60), "ogg"),
        (b"fLaC" + bytes(60), "flac"),
    ],
)
@pytest.mark.parametrize("raw_rate", [0, 24_000])
def test_what_is_no_audio_of_ours_is_quoted(data: bytes, told: str, raw_rate: int) -> None:
    with pytest.raises(AudioError, match=told):
        decoder = AnyDecoder(24_000, raw_rate)
        for start in range(0, len(data), 7):
            decoder.feed(data[start : start + 7])
        decoder.finish()


def test_wav_of_one_sample_is_told_from_raw_samples() -> None:
    decoder = AnyDecoder(24_000, 24_000)
    assert decoder.feed(wav_bytes(b"\1\2", 24_000)) + decoder.finish() == b"\1\2"


# The voices of a server


@pytest.mark.parametrize("name", ["kokoro-fastapi", "vllm-omni"])
async def test_the_voices_of_a_server_that_lists_them(server: OpenAIServer, name: str) -> None:
    config = ProviderConfig(base_url=server.base_url, model="m", server=name, api_key="k")
    assert await list_voices(config) == [
        ServerVoice("zf_xiaoxiao", "zh", "female"),
        ServerVoice("am_adam", "en", "male"),
        ServerVoice("vivian"),
    ]
    for behaviour, reason in (
        (Behaviour(status=401), "auth"),
        (Behaviour(fault="invalid_json"), "unavailable"),
    ):
        server.next("voices", behaviour)
        with pytest.raises(ProviderError) as caught:
            await list_voices(config)
        assert caught.value.reason == reason


async def test_a_server_without_a_list_of_voices(server: OpenAIServer) -> None:
    with pytest.raises(ProviderError, match="the server has no list of its voices"):
        await list_voices(ProviderConfig(base_url=server.base_url, model="m"))
    assert server.count("voices", "started") == 0


# Which row it is


@pytest.mark.parametrize(
    ("base_url", "server", "name"),
    [
        ("https://api.openai.com/v1", "auto", "openai"),
        ("https://API.SiliconFlow.cn/v1", "auto", "siliconflow"),
        ("https://api.groq.com/openai/v1", "auto", "groq"),
        ("http://kokoro:8880/v1", "auto", "kokoro-fastapi"),
        ("http://speaches:8000/v1", "auto", "speaches"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "auto", "dashscope"),
        ("https://ws1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1", "auto", "dashscope"),
        ("https://api.qnaigc.com/v1", "auto", "qiniu"),
        ("https://api.openai.com.example.org/v1", "auto", "generic"),
        ("https://notapi.openai.com.cn/v1", "auto", "generic"),
        ("http://127.0.0.1:8880/v1", "auto", "generic"),
        ("http://127.0.0.1:8880/v1", "kokoro-fastapi", "kokoro-fastapi"),
        ("https://api.groq.com/openai/v1", "generic", "generic"),
        ("", "auto", "generic"),
    ],
)
def test_a_server_is_known_by_its_host_or_by_its_name(
    base_url: str, server: str, name: str
) -> None:
    assert server_row(base_url, server).name == name


def test_a_server_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="unknown server groc; known: generic"):
        server_row("", "groc")
    assert server_row("http://127.0.0.1") is GENERIC


@pytest.mark.parametrize(
    ("name", "speaks", "listens"),
    [
        ("dashscope", False, False),
        ("qiniu", False, False),
        ("kokoro-fastapi", True, False),
        ("openai-edge-tts", True, False),
        ("groq", True, True),
    ],
)
def test_what_a_server_cannot_do_is_refused_at_the_start(
    name: str,
    speaks: bool,
    listens: bool,
    settings,  # type: ignore[no-untyped-def]
) -> None:
    config = ProviderConfig(base_url="http://127.0.0.1:9/v1", model="m", server=name)
    for build, can in (
        (lambda: build_synthesizer(["openai"], config, lambda *_: None), speaks),
        (lambda: build_recognizer(["openai"], config), listens),
    ):
        if can:
            assert build().name == "openai"  # type: ignore[no-untyped-call]
        else:
            with pytest.raises(ValueError, match="has no /audio/"):
                build()  # type: ignore[no-untyped-call]
    settings.TTS_BASE_URL = settings.ASR_BASE_URL = "http://127.0.0.1:9/v1"
    settings.TTS_PROVIDERS = settings.ASR_PROVIDERS = ["openai"]
    settings.TTS_SERVER = settings.ASR_SERVER = name
    settings.TTS_VOICE = "hannah"
    told = [each.msg for each in providers_can_be_built(None) if each.id == "liyuan.E006"]
    assert [each.startswith("TTS_BASE_URL") for each in told].count(True) == (not speaks)
    assert [each.startswith("ASR_BASE_URL") for each in told].count(True) == (not listens)
    assert all(ROWS[name].instead in each for each in told)


def test_a_voice_that_a_server_does_not_have_is_refused_at_the_start(
    settings,  # type: ignore[no-untyped-def]
) -> None:
    settings.TTS_PROVIDERS = ["openai"]
    settings.TTS_BASE_URL = "https://api.groq.com/openai/v1"
    settings.TTS_VOICE = "alloy"
    found = [each for each in providers_can_be_built(None) if each.id == "liyuan.E007"]
    assert "TTS_VOICE is alloy, but Groq has only austin, autumn" in found[0].msg
    settings.TTS_VOICE = "troy"
    assert not [each for each in providers_can_be_built(None) if each.id == "liyuan.E007"]
