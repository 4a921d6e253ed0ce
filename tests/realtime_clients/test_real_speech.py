"""Real speech, understood and answered by the models of this machine, with each client."""

import io
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.platform import ProviderProcess
from tests.processes import ServerProcess, start_server
from tests.realtime_clients.client_process import node_client, python_client
from tests.realtime_clients.conftest import Wire
from tests.realtime_clients.speech import CHINESE, ENGLISH, RATE, peak, seconds, utterance
from tests.realtime_clients.talk import Talk
from tests.test_local_speech import weights  # noqa: F401
from tests.v1.conftest import Caller

pytestmark = [pytest.mark.system, pytest.mark.speech, pytest.mark.timeout(400)]

REPLY = "Come in, my friend. The tea is warm."
WORDS = ("hello", "come in", "hoping", "talk tonight")  # of what the English sample says
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(weights: Path, providers: ProviderProcess) -> Iterator[ServerProcess]:  # noqa: F811
    """What listens and speaks is local; the language model alone is not."""
    language_model = {key: value for key, value in providers.settings.items() if "LLM" in key}
    settings = {"SPEECH": "on", "MODELS_DIR": str(weights), **language_model}
    with start_server(settings) as process:
        yield process


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Caller:
    """Who has spoken to the models already: they are loaded."""
    caller = Caller.register(server.base_url)
    spoken = caller.say(voice="kokoro_af_heart", input="Hello.", response_format="wav")
    assert spoken.status_code == 200, spoken.text
    file = {"file": ("hello.wav", spoken.content)}
    asked = {"files": file, "data": {"model": "whisper-1"}}
    understood = caller.ask("POST", "/audio/transcriptions", **asked)
    assert understood.status_code == 200, understood.text
    return caller


@pytest.fixture(scope="module")
def zhuge(caller: Caller) -> str:
    return f"role:{caller.account.role('诸葛亮')}"


@pytest.fixture(autouse=True)
def _answer(wire: Wire, providers: ProviderProcess) -> None:
    providers.script("chat", text=REPLY)


def assert_understood(transcript: str, words: Sequence[str] = WORDS) -> None:
    assert [word for word in words if word not in transcript.lower()] == []


@dataclass(frozen=True)
class Exchange:
    """What is said to the character, and what it answers; ``words`` are to be understood."""

    sample: str
    words: tuple[str, ...]
    voice: str
    reply: str
    reply_words: tuple[str, ...]
    language: str


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(ENGLISH[0], WORDS, "kokoro_af_heart", REPLY, ("friend", "warm"), "en"),
        Exchange(
            CHINESE[0],
            ("今天", "故事"),
            "kokoro_zf_xiaoyi",
            "请坐，我的朋友，我们慢慢聊。",
            ("朋友", "慢慢"),
            "zh",
        ),
    ],
    ids=["english", "chinese"],
)
async def test_openai(
    wire: Wire, caller: Caller, zhuge: str, providers: ProviderProcess, exchange: Exchange
):
    providers.script("chat", text=exchange.reply)
    async with (
        openai.AsyncOpenAI(base_url=wire.base_url, api_key=caller.key) as client,
        client.realtime.connect(model=zhuge) as connection,
    ):
        talk = Talk(connection)
        await talk.configure(audio={"output": {"voice": exchange.voice}})
        await talk.detect({"type": "server_vad", "silence_duration_ms": 500})
        await talk.speak(utterance(exchange.sample))
        done = (await talk.until("response.done", PATIENCE)).response
        (heard,) = talk.all("conversation.item.input_audio_transcription.completed")
        audio = talk.audio(done.id)
    assert_understood(heard.transcript, exchange.words)
    assert talk.said(done.id) == exchange.reply
    assert 1.5 < seconds(audio) < 6
    assert peak(audio) > 3_000
    # The answer is speech: what it says is understood in its turn.
    answer = caller.ask(
        "POST",
        "/audio/transcriptions",
        files={"file": ("answer.wav", wav(audio))},
        data={"model": "whisper-1", "language": exchange.language},
    )
    assert_understood(answer.json()["text"], exchange.reply_words)


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm)
    return file.getvalue()


def test_agents_realtime(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"url": wire.realtime_url, "apiKey": caller.key, "model": zhuge}
    with node_client("agents_realtime.mjs") as client:
        found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert_understood(found["history"][0]["content"][0]["transcript"])
    assert found["outputs"] == [REPLY]
    assert found["audio"] > 1.5


def test_pipecat(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"url": wire.realtime_url, "api_key": caller.key, "model": zhuge}
    with python_client("pipecat_client.py") as client:
        found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert_understood(found["user"][0])
    assert found["assistant"] == [REPLY]


def test_livekit(wire: Wire, caller: Caller, zhuge: str, microphone: str):
    options = {"base_url": wire.base_url, "api_key": caller.key, "model": zhuge}
    with python_client("livekit_client.py") as client:
        found = client.perform("spoken", options=options, path=microphone)
    assert found["errors"] == []
    assert_understood(found["transcripts"][0])
    assert found["text"] == REPLY
    assert found["seconds"] > 1.5
