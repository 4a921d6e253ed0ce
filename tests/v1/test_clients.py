"""OpenAI's own clients, for Python and for Node, with nothing changed but the base URL."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.audio_samples import sample
from tests.node import run_script
from tests.platform import ProviderProcess
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller
from tests.v1.test_speech import MIMES, heard

pytestmark = pytest.mark.system

REPLY = "亮观天象，今夜必有东风。"
HEARD = "今夜会有东风吗？"


@pytest.fixture(autouse=True)
def _answers(providers: ProviderProcess) -> None:
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text=HEARD)


@pytest.fixture
def client(caller: Caller) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=caller.url, api_key=caller.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="package")
def zhuge(caller: Caller) -> str:
    return f"role:{caller.account.role('诸葛亮')}"


def clip() -> tuple[str, io.BytesIO]:
    return "speech.mp3", io.BytesIO(sample("mp3", 2.0))


def test_models(client: openai.OpenAI, zhuge: str):
    listed = {model.id: model for model in client.models.list()}
    assert listed[zhuge] == client.models.retrieve(zhuge)
    assert "tts-1" in listed


def test_a_conversation(client: openai.OpenAI, zhuge: str):
    messages: Any = [{"role": "user", "content": HEARD}]
    whole = client.chat.completions.create(model=zhuge, messages=messages)
    assert whole.choices[0].message.content == REPLY
    assert whole.usage is not None
    assert whole.usage.completion_tokens == len(REPLY)
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=zhuge, messages=messages, stream=True, stream_options=options
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == REPLY
    assert chunks[-1].usage == whole.usage
    with client.chat.completions.stream(model=zhuge, messages=messages) as events:
        assert events.get_final_completion().choices[0].message.content == REPLY


@pytest.mark.parametrize("name", MIMES)
def test_speech(client: openai.OpenAI, name: Any):
    asked: Any = {"model": "tts-1", "voice": "alloy", "input": HEARD, "response_format": name}
    whole = client.audio.speech.create(**asked)
    assert heard(whole.content, name)[0] == pytest.approx(seconds_of(HEARD), abs=0.2)
    with client.audio.speech.with_streaming_response.create(**asked, speed=2.0) as answer:
        data = b"".join(answer.iter_bytes())
    assert heard(data, name)[0] == pytest.approx(seconds_of(HEARD) / 2, abs=0.2)


async def test_speech_for_many_at_once(caller: Caller):
    import asyncio

    async with openai.AsyncOpenAI(base_url=caller.url, api_key=caller.key) as client:

        async def say(number: int) -> float:
            text = HEARD * (1 + number % 3)
            spoken = await client.audio.speech.create(model="tts-1", voice="echo", input=text)
            return heard(spoken.content, "mp3")[0] - seconds_of(text)

        rests = await asyncio.gather(*map(say, range(20)))
    assert max(map(abs, rests)) < 0.2


def test_transcripts(client: openai.OpenAI):
    transcriptions = client.audio.transcriptions
    assert transcriptions.create(file=clip(), model="whisper-1").text == HEARD
    assert transcriptions.create(file=clip(), model="whisper-1", response_format="text") == (
        HEARD + "\n"
    )
    for form in ("srt", "vtt"):
        answer: Any = transcriptions.create(file=clip(), model="whisper-1", response_format=form)
        assert HEARD in answer
    verbose = transcriptions.create(
        file=clip(),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert verbose.segments is not None
    assert [each.text for each in verbose.segments] == [HEARD]
    events = list(transcriptions.create(file=clip(), model="gpt-4o-transcribe", stream=True))
    assert [each.type for each in events] == ["transcript.text.delta", "transcript.text.done"]
    last: Any = events[-1]
    assert last.text == HEARD


def test_errors_are_the_clients_own(
    client: openai.OpenAI, caller: Caller, providers: ProviderProcess
):
    stranger = openai.OpenAI(base_url=caller.url, api_key="sk-forged", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("nothing")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.audio.speech.create(model="tts-1", voice="alloy", input="字" * 4097)
    assert (wrong.value.param, wrong.value.code) == ("input", "string_above_max_length")
    providers.script("speech", status=429)
    with pytest.raises(openai.RateLimitError):
        client.audio.speech.create(model="tts-1", voice="alloy", input=HEARD)
    providers.script("speech", fault="drop_middle")
    with pytest.raises(openai.APIConnectionError):
        client.audio.speech.create(model="tts-1", voice="alloy", input=HEARD)
    providers.script("chat", fault="drop_middle")
    with pytest.raises(openai.APIError):
        list(
            client.chat.completions.create(
                model="loopback", messages=[{"role": "user", "content": "x"}], stream=True
            )
        )


def test_a_client_that_may_ask_again_gets_its_answer(caller: Caller, providers: ProviderProcess):
    patient = openai.OpenAI(base_url=caller.url, api_key=caller.key, max_retries=2)
    providers.script("speech", {"status": 429, "retry_after": "30"})
    assert patient.audio.speech.create(model="tts-1", voice="alloy", input=HEARD).content


def test_the_client_for_node(caller: Caller, zhuge: str, tmp_path: Path):
    audio = tmp_path / "speech.mp3"
    audio.write_bytes(sample("mp3", 2.0))
    found = json.loads(run_script("openai_client.mjs", caller.url, caller.key, zhuge, str(audio)))
    assert {"tts-1", "whisper-1", zhuge} <= set(found["models"])
    assert found["model"] == zhuge
    assert found["whole"] == found["streamed"] == found["helper"] == REPLY
    assert found["tokens"] == len(REPLY)
    assert set(found["speech"]) == set(MIMES)
    for name, spoken in found["speech"].items():
        assert spoken["type"] == MIMES[name]
        audio_bytes = base64.b64decode(spoken["audio"])
        assert heard(audio_bytes, name)[0] == pytest.approx(seconds_of(HEARD), abs=0.2)
    assert found["json"] == found["deltas"] == found["done"] == HEARD
    assert found["text"] == HEARD + "\n"
    assert found["segments"] == 1
    errors = found["errors"]
    assert errors["key"]["name"] == "AuthenticationError"
    assert (errors["model"]["status"], errors["model"]["code"]) == (404, "model_not_found")
    assert (errors["voice"]["status"], errors["voice"]["param"]) == (400, "voice")
    assert (errors["empty"]["status"], errors["empty"]["param"]) == (400, "file")
    assert {each["id"] for each in errors.values()} == {"string"}
