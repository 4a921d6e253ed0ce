"""Recognition and synthesis over an OpenAI-compatible server, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import miniaudio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_answers import TRANSCRIPT
from tests.servers.openai_api import OpenAIServer
from voice.asr.base import Transcript
from voice.asr.openai import OpenAIRecognizer
from voice.audio.codecs import AudioError, wav_header
from voice.errors import ProviderError
from voice.openai_servers import AudioFormat, SpeechRow
from voice.tts.base import VoiceRef
from voice.tts.openai import OpenAISynthesizer
from voice.tts.pcm_decoding import PcmDecoder, WavDecoder

ALLOY = VoiceRef("openai", "alloy")
TEXT = "久仰久仰，今日得见，实是幸会。"
SECONDS = voiced.seconds_of(TEXT)

# behaviour, reason, retryable
FAILURES = [
    (Behaviour(status=401, code="invalid_api_key"), "auth", False),
    (Behaviour(status=403), "auth", False),
    (Behaviour(status=429), "rate_limited", True),
    (Behaviour(status=400), "bad_request", False),
    (Behaviour(status=413), "bad_request", False),
    (Behaviour(status=400, code="content_policy_violation"), "refused", False),
    (Behaviour(status=500), "unavailable", True),
    (Behaviour(status=503), "unavailable", True),
    (Behaviour(fault="drop_before"), "unavailable", True),
    (Behaviour(fault="stall_before"), "timeout", True),
]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def recognizer(server: OpenAIServer) -> AsyncIterator[OpenAIRecognizer]:
    adapter = OpenAIRecognizer(server.base_url, "sk-secret-key", "whisper", read_timeout=0.3)
    yield adapter
    await adapter.aclose()


@pytest.fixture
async def synthesizer(server: OpenAIServer) -> AsyncIterator[OpenAISynthesizer]:
    adapter = OpenAISynthesizer(server.base_url, "sk-secret-key", "tts", read_timeout=0.3)
    yield adapter
    await adapter.aclose()


async def spoken(seconds: float, *, silent: bool = False) -> AsyncIterator[bytes]:
    pcm = bytes(int(seconds * 16_000) * 2) if silent else voiced.pcm(seconds, 16_000)
    for start in range(0, len(pcm), 3_200):
        yield pcm[start : start + 3_200]


async def until_cancelled(server: OpenAIServer) -> None:
    async with asyncio.timeout(2):
        while not sum(counts["cancelled"] for counts in server.script.counts.values()):
            await asyncio.sleep(0.005)


# Recognition


async def test_an_utterance_goes_as_one_wav_file(
    server: OpenAIServer, recognizer: OpenAIRecognizer
) -> None:
    found = [each async for each in recognizer.recognize(spoken(1.5), language="zh")]
    assert found == [Transcript(TRANSCRIPT, is_final=True, language="zh")]
    request = server.last("transcriptions")
    assert request.headers["Authorization"] == "Bearer sk-secret-key"
    assert request.body["language"] == "zh"
    assert request.body["model"] == "whisper"
    assert request.body["file"] == wav_header(16_000, 48_000) + voiced.pcm(1.5, 16_000)


async def test_no_hint_of_a_language_is_no_field(
    server: OpenAIServer, recognizer: OpenAIRecognizer
) -> None:
    found = [each async for each in recognizer.recognize(spoken(1, silent=True))]
    assert found == [Transcript("", is_final=True)]
    assert "language" not in server.last("transcriptions").body


@pytest.mark.parametrize("seconds", [0, 0.05])
async def test_hardly_any_audio_is_no_speech_and_no_request(
    server: OpenAIServer, recognizer: OpenAIRecognizer, seconds: float
) -> None:
    found = [each async for each in recognizer.recognize(spoken(seconds))]
    assert found == [Transcript("", is_final=True)]
    assert server.count("transcriptions", "started") == 0


async def test_audio_without_end_is_refused(
    server: OpenAIServer, recognizer: OpenAIRecognizer
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(320_000)

    with pytest.raises(ProviderError) as caught:
        await anext(recognizer.recognize(endless()))
    assert caught.value.reason == "bad_request"
    assert server.count("transcriptions", "started") == 0


@pytest.mark.parametrize(
    ("behaviour", "reason", "retryable"),
    [*FAILURES, (Behaviour(fault="invalid_json"), "unavailable", True)],
)
async def test_failures_of_recognition(
    server: OpenAIServer,
    recognizer: OpenAIRecognizer,
    behaviour: Behaviour,
    reason: str,
    retryable: bool,
) -> None:
    # Refused without a reason, it is asked once more without the optional fields.
    server.next("transcriptions", behaviour, behaviour)
    with pytest.raises(ProviderError) as caught:
        await anext(recognizer.recognize(spoken(1)))
    error = caught.value
    assert (error.provider, error.reason, error.retryable) == ("openai", reason, retryable)
    assert "sk-secret-key" not in str(error)


async def test_cancelling_recognition_closes_the_connection(server: OpenAIServer) -> None:
    recognizer = OpenAIRecognizer(server.base_url, "", "whisper")
    server.next("transcriptions", Behaviour(fault="stall_before"))

    async def recognize() -> Transcript:
        return await anext(recognizer.recognize(spoken(1)))

    task = asyncio.create_task(recognize())
    async with asyncio.timeout(2):
        while not server.count("transcriptions", "started"):
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_cancelled(server)
    await recognizer.aclose()


# Synthesis


@pytest.mark.parametrize("piece_bytes", [1, 333, 4_800])
async def test_pcm_comes_whole_in_even_pieces(
    server: OpenAIServer, synthesizer: OpenAISynthesizer, piece_bytes: int
) -> None:
    server.next("speech", Behaviour(piece_bytes=piece_bytes))
    text = "好。" if piece_bytes == 1 else TEXT
    pieces = [piece async for piece in synthesizer.synthesize(text, voice=ALLOY)]
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == voiced.pcm(voiced.seconds_of(text))
    request = server.last("speech").body
    assert request["voice"] == "alloy"
    assert request["response_format"] == "pcm"
    assert "speed" not in request


async def test_the_first_audio_is_handed_on_at_once(
    server: OpenAIServer, synthesizer: OpenAISynthesizer
) -> None:
    server.next("speech", Behaviour(pace=Pace(tts_first_ms=100, speech_rate=5)))
    started = time.monotonic()
    moments = [time.monotonic() - started async for _ in synthesizer.synthesize(TEXT, voice=ALLOY)]
    assert 0.1 <= moments[0] < 0.2
    assert moments[-1] > 0.1 + 0.8 * SECONDS / 5
    assert len(moments) > 5


async def test_speed_is_passed_on(server: OpenAIServer, synthesizer: OpenAISynthesizer) -> None:
    pieces = [piece async for piece in synthesizer.synthesize(TEXT, voice=ALLOY, speed=2.0)]
    assert abs(len(b"".join(pieces)) / 48_000 - SECONDS / 2) < 0.01


@pytest.mark.parametrize("audio_format", ["wav", "mp3"])
async def test_other_formats_are_decoded(server: OpenAIServer, audio_format: AudioFormat) -> None:
    synthesizer = OpenAISynthesizer(
        server.base_url, "", "tts", row=SpeechRow(formats=(audio_format,))
    )
    server.next("speech", Behaviour(piece_bytes=777))
    pieces = [piece async for piece in synthesizer.synthesize(TEXT, voice=ALLOY)]
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    pcm = b"".join(pieces)
    if audio_format == "wav":
        assert pcm == voiced.pcm(SECONDS)
    else:
        reference = miniaudio.decode(voiced.mp3(voiced.pcm(SECONDS)), nchannels=1)
        assert abs(len(pcm) / 48_000 - reference.num_frames / reference.sample_rate) < 0.1
        assert np.abs(np.frombuffer(pcm, "<i2")).max() > 8_000
    await synthesizer.aclose()


@pytest.mark.parametrize(
    ("behaviour", "reason", "retryable"),
    [*FAILURES, (Behaviour(fault="stall_first"), "timeout", True)],
)
async def test_failures_before_the_first_sound(
    server: OpenAIServer,
    synthesizer: OpenAISynthesizer,
    behaviour: Behaviour,
    reason: str,
    retryable: bool,
) -> None:
    server.next("speech", behaviour)
    with pytest.raises(ProviderError) as caught:
        await anext(synthesizer.synthesize(TEXT, voice=ALLOY))
    error = caught.value
    assert (error.provider, error.reason, error.retryable) == ("openai", reason, retryable)
    assert "sk-secret-key" not in str(error)


@pytest.mark.parametrize("audio_format", ["pcm", "wav", "mp3"])
@pytest.mark.parametrize("fault", ["drop_middle", "stall_middle"])
async def test_speech_that_breaks_off_is_incomplete(
    server: OpenAIServer, audio_format: AudioFormat, fault: str
) -> None:
    synthesizer = OpenAISynthesizer(
        server.base_url, "", "tts", row=SpeechRow(formats=(audio_format,)), read_timeout=0.3
    )
    server.next("speech", Behaviour(fault=fault, piece_bytes=1_000))  # type: ignore[arg-type]
    told = b""
    with pytest.raises(ProviderError) as caught:
        async for piece in synthesizer.synthesize(TEXT, voice=ALLOY):
            told += piece
    assert 0 < len(told) < len(voiced.pcm(SECONDS))
    assert (caught.value.reason, caught.value.retryable) == ("incomplete", False)
    await synthesizer.aclose()


async def test_an_answer_that_is_no_audio_is_not_played(server: OpenAIServer) -> None:
    for audio_format in ("wav", "mp3"):
        # A server that ignores the format: raw PCM comes instead.
        synthesizer = OpenAISynthesizer(
            server.base_url,
            "",
            "tts",
            row=SpeechRow(formats=(audio_format,)),  # type: ignore[arg-type]
        )
        server.next("speech", Behaviour(sends_format="pcm"))
        with pytest.raises(ProviderError) as caught:
            pieces = [piece async for piece in synthesizer.synthesize("好", voice=ALLOY)]
            assert not pieces
        assert caught.value.reason == "unavailable"
        await synthesizer.aclose()


async def test_closing_speech_closes_the_connection(
    server: OpenAIServer, synthesizer: OpenAISynthesizer
) -> None:
    server.next("speech", Behaviour(pace=Pace(speech_rate=5)))
    stream = synthesizer.synthesize(TEXT, voice=ALLOY)
    assert await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await until_cancelled(server)
    assert server.count("speech", "finished") == 0


async def test_segments_use_one_connection_again(
    server: OpenAIServer, synthesizer: OpenAISynthesizer
) -> None:
    for _ in range(3):
        _ = [piece async for piece in synthesizer.synthesize("好。", voice=ALLOY)]
    assert len({exchange.peer for exchange in server.script.exchanges}) == 1


# Decoding of pieces cut anywhere


def fed(decoder: PcmDecoder | WavDecoder, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [decoder.feed(data[a:b]) for a, b in pairwise(edges)]
    assert all(len(piece) % 2 == 0 for piece in pieces)
    return b"".join(pieces) + decoder.finish()


@given(data=st.binary(max_size=64), cuts=st.lists(st.integers(0, 64), max_size=8))
def test_pcm_keeps_every_sample(data: bytes, cuts: list[int]) -> None:
    assert fed(PcmDecoder(), data, cuts) == data[: len(data) & ~1]


@given(
    samples=st.binary(min_size=2, max_size=64),
    cuts=st.lists(st.integers(0, 160), max_size=8),
    size=st.sampled_from(["known", "unknown", "zero"]),
    notes=st.booleans(),
)
def test_wav_gives_its_samples_and_nothing_else(
    samples: bytes, cuts: list[int], size: str, notes: bool
) -> None:
    samples = samples[: len(samples) & ~1]
    head = wav_header(24_000, {"known": len(samples), "unknown": None, "zero": 0}[size])
    if notes:
        head = head[:36] + b"LIST\x05\x00\x00\x00INFO!\x00" + head[36:]
    tail = b"LIST\x04\x00\x00\x00INFO" if size == "known" else b""
    assert fed(WavDecoder(24_000), head + samples + tail, cuts) == samples


def test_wav_of_another_rate_is_converted() -> None:
    second = voiced.pcm(1.0, 16_000)
    pcm = fed(WavDecoder(24_000), wav_header(16_000) + second, list(range(0, 30_000, 999)))
    assert abs(len(pcm) / 48_000 - 1) < 0.01


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        wav_header(24_000)[:30],
        b"ID3\x04" + bytes(60),
        wav_header(24_000)[:22] + b"\x02" + wav_header(24_000)[23:] + bytes(8),
        wav_header(24_000)[:12] + b"LIST\xff\xff\xff\x00" + bytes(70_000),
    ],
    ids=["nothing", "a word", "half a head", "mp3", "stereo", "no end of notes"],
)
def test_what_is_no_wav_is_told(data: bytes) -> None:
    with pytest.raises(AudioError):
        fed(WavDecoder(24_000), data, list(range(0, len(data), 4_096)))
