"""The main job with nothing but the local models: a spoken question, a spoken answer."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.platform import Client
from tests.processes import ServerProcess, start_server
from tests.test_local_speech import weights  # noqa: F401
from tests.test_ws_contract import call, joined, seconds_of, speech
from voice.audio.codecs import wav_bytes
from voice.tts.base import VoiceRef
from voice.tts.kokoro import KokoroSynthesizer

pytestmark = [pytest.mark.speech, pytest.mark.system, pytest.mark.timeout(500)]

QUESTION = "你好，你叫什么名字？"
PATIENCE = 180.0  # two busy cores


@pytest.fixture(scope="module")
def question(weights) -> bytes:  # noqa: F811
    """A WAV of somebody asking."""

    async def speak() -> bytes:
        kokoro = KokoroSynthesizer(weights)
        voice = VoiceRef("local", "zf_xiaoxiao")
        pieces = [piece async for piece in kokoro.synthesize(QUESTION, voice=voice)]
        await kokoro.aclose()
        return wav_bytes(b"".join(pieces), kokoro.capabilities.sample_rate)

    return asyncio.run(speak())


@pytest.fixture(scope="module")
def server(weights) -> Iterator[ServerProcess]:  # noqa: F811
    with start_server({"SPEECH": "on", "MODELS_DIR": str(weights)}) as process:
        yield process


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Client:
    return Client.register(server.base_url)


def test_health_says_that_it_is_offline_and_can_speak(client: Client):
    providers = client.get("/api/health")["providers"]
    assert providers["llm"] == {"name": "understudy", "offline": True, "model": ""}
    assert providers["asr"]["available"]
    assert providers["tts"]["available"]


def test_a_spoken_question_is_understood_and_answered_in_speech(client: Client, question: bytes):
    role = client.role("诸葛亮")
    url = client.upload(question, "question.wav")
    with client.socket("/api/ws/voice_chat") as socket:
        socket.send(call(role, url, format="wav", stream=True, id="spoken"))
        messages = socket.until_final(PATIENCE)
    assert messages[0]["type"] == "transcript"
    assert "名字" in messages[0]["message"]
    reply = "".join(m["message"] for m in messages if m["type"] == "delta")
    assert "亮" in reply or "孔明" in reply
    assert seconds_of(joined(messages)) > 1
    assert [m["is_final"] for m in messages].count(True) == 1


@pytest.mark.parametrize("response_type", [0, 1, 2])
def test_the_same_in_a_chat(client: Client, question: bytes, response_type: int):
    role = client.role("诸葛亮")
    url = client.upload(question, "question.wav")
    with client.socket() as socket:
        message = speech(role, url, format="wav", response_type=response_type)
        reply = socket.ask(message, PATIENCE)
    assert reply["type"] in {0: ["text"], 1: ["voice"], 2: ["text", "voice"]}[response_type]
    if reply["type"] == "voice":
        assert seconds_of(httpx.get(reply["message"], timeout=30).content) > 1
    else:
        assert reply["message"]
