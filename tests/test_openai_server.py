"""The loopback server is what it plays: the official client finds nothing odd about it."""

import asyncio
import io
import json
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import AsyncIterator

import miniaudio
import openai
import pytest

from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_answers import REPLY, TRANSCRIPT
from tests.servers.openai_api import OpenAIServer
from voice.audio.codecs import wav_bytes

MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "你好"}]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(api_key="sk-right") as running:
        yield running


@pytest.fixture
async def client(server: OpenAIServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=server.base_url, api_key="sk-right", max_retries=0, timeout=5
    ) as sdk:
        yield sdk


async def test_chat_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
    assert whole.choices[0].message.content == REPLY
    assert whole.usage is not None
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="m",
            messages=MESSAGES,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == REPLY
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1
    for chunk in chunks:  # the package builds its models leniently: hold them to its types
        type(chunk).model_validate(chunk.model_dump(), strict=False)


async def test_transcription_in_each_format(client: openai.AsyncOpenAI) -> None:
    clip = ("clip.wav", wav_bytes(voiced.pcm(1.5), 24_000))
    plain = await client.audio.transcriptions.create(model="m", file=clip)
    assert plain.text == TRANSCRIPT
    assert plain.usage is not None
    assert plain.usage.type == "duration"
    text = await client.audio.transcriptions.create(model="m", file=clip, response_format="text")
    assert text.strip() == TRANSCRIPT
    verbose = await client.audio.transcriptions.create(
        model="m", file=clip, response_format="verbose_json"
    )
    assert (verbose.language, verbose.duration) == ("chinese", 1.5)
    silence = ("clip.wav", wav_bytes(bytes(32_000), 16_000))
    assert (await client.audio.transcriptions.create(model="m", file=silence)).text == ""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF of nothing"))
    assert caught.value.param == "file"


async def test_speech_lasts_as_long_as_its_text_in_each_format(client: openai.AsyncOpenAI) -> None:
    async def speak(audio_format: str, text: str = "你好世界") -> bytes:
        answer = await client.audio.speech.create(
            model="m",
            voice="alloy",
            input=text,
            response_format=audio_format,  # type: ignore[arg-type]
        )
        return answer.content

    pcm = await speak("pcm")
    assert len(pcm) == 2 * 24_000 * 0.88
    assert len(await speak("pcm", "你好世界" * 3)) == 3 * len(pcm)
    wav = await speak("wav")
    assert wav.endswith(pcm)
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
    decoded = miniaudio.decode(await speak("mp3"), nchannels=1, sample_rate=24_000)
    assert abs(decoded.num_frames / 24_000 - 0.88) < 0.15


async def test_models(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert "loopback-chat" in names
    assert (await client.models.retrieve("loopback-chat")).id == "loopback-chat"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("nothing")
    assert caught.value.code == "model_not_found"


async def test_a_wrong_key_and_a_broken_body(
    server: OpenAIServer, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="sk-wrong").chat.completions.create(
            model="m",
            messages=MESSAGES,  # type: ignore[arg-type]
        )
    assert caught.value.code == "invalid_api_key"
    for body in (b"{", b"[]"):
        with pytest.raises(openai.BadRequestError):
            await client.post(
                "/chat/completions",
                cast_to=object,
                content=body,
                options={"headers": {"Content-Type": "application/json"}},
            )


async def test_the_pace_is_kept() -> None:
    pace = Pace(asr_ms=100, llm_first_ms=200, tokens_per_second=30, tts_first_ms=150, speech_rate=4)
    async with (
        OpenAIServer(pace) as server,
        openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
    ):
        await client.models.list()  # the connection is open before the clock starts
        server.next("chat", Behaviour(text="一二三四五六七八九十"))
        started = time.monotonic()
        stream = await client.chat.completions.create(
            model="m",
            messages=MESSAGES,  # type: ignore[arg-type]
            stream=True,
        )
        moments = [
            time.monotonic() - started async for chunk in stream if chunk.choices[0].delta.content
        ]
        assert 0.2 <= moments[0] < 0.3
        assert 0.5 <= moments[-1] < 0.65  # nine tokens at 30 a second later
        started = time.monotonic()
        clip = ("clip.wav", wav_bytes(voiced.pcm(1), 24_000))
        await client.audio.transcriptions.create(model="m", file=clip)
        assert 0.1 <= time.monotonic() - started < 0.2
        started = time.monotonic()
        async with client.audio.speech.with_streaming_response.create(
            model="m", voice="alloy", input="你好世界" * 2, response_format="pcm"
        ) as answer:
            moments = [time.monotonic() - started async for _ in answer.iter_bytes()]
        assert 0.15 <= moments[0] < 0.25
        assert 0.5 <= moments[-1] < 0.7  # 1.76 s of audio at four times their pace


async def test_as_a_process_steered_from_outside() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.servers.openai_api", "--port", "0", "--asr-ms", "1"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().strip()
        root = base_url.removesuffix("/v1")

        def control(path: str, body: object = None) -> dict[str, object]:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(root + path, data=data)
            with urllib.request.urlopen(request, timeout=5) as answer:
                loaded: dict[str, object] = json.load(answer)
                return loaded

        script = {
            "endpoint": "chat",
            "next": [{"text": "第一", "pace": {"llm_first_ms": 5}}, {"status": 429}],
            "always": {"text": "以后"},
        }
        await asyncio.to_thread(control, "/control/script", script)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            await asyncio.to_thread(
                control, "/control/script", {"endpoint": "chat", "next": [{"txt": "?"}]}
            )
        async with openai.AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:

            async def ask() -> str | None:
                answer = await client.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
                return answer.choices[0].message.content

            assert await ask() == "第一"
            with pytest.raises(openai.RateLimitError):
                await ask()
            assert [await ask(), await ask()] == ["以后", "以后"]
        log = await asyncio.to_thread(control, "/control/log")
        assert log["counts"] == {"chat": {"started": 4, "finished": 4}}
        exchanges = log["exchanges"]
        assert isinstance(exchanges, list)
        assert exchanges[0]["body"]["messages"] == MESSAGES
        await asyncio.to_thread(control, "/control/reset", {})
        assert (await asyncio.to_thread(control, "/control/log"))["counts"] == {}
    finally:
        process.terminate()
        assert await process.wait() == 0
