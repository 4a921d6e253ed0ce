"""The lines of the documentation that clients were written by, against CosyVoice's protocol.

They are run as they stand there; only the address and the credentials are put in.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser import chromium
from tests.platform import DashScopeProcess, loopback_dashscope
from tests.processes import ServerProcess, start_server
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller
from tests.v1.test_speech import heard

pytestmark = pytest.mark.system

IN_FULL = """
curl -X POST "http://localhost:3000/v1/audio/speech" \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "cosyvoice-v2",
    "input": "你好，欢迎使用New-API的语音合成功能！",
    "voice": "longyingcui",
    "response_format": "mp3",
    "speed": 1.0
  }'
"""
IN_SHORT = """
curl -X POST "http://localhost:3000/v1/audio/speech" \\
  -H "Authorization: Bearer YOUR_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"model":"cosyvoice-v2","input":"测试文本","voice":"longyingcui"}' \\
  --output test_audio.mp3
"""
# Every identifier that the documentation names, and who is heard for OpenAI's names.
VOICES = (
    "longyingcui",
    "longxiaochun_v2",
    "longxiaoxia_v2",
    "longsanshu",
    "longmiao_v2",
    "longyue_v2",
)
OPENAI_NAMES = {
    "alloy": "longxiaochun_v2",
    "echo": "longnan_v2",
    "fable": "longmiao_v2",
    "onyx": "longsanshu",
    "nova": "longyue_v2",
    "shimmer": "longyuan_v2",
}


@pytest.fixture(scope="module")
def dashscope() -> Iterator[DashScopeProcess]:
    with loopback_dashscope() as process:
        yield process


@pytest.fixture(scope="module")
def cosyvoice(dashscope: DashScopeProcess) -> Iterator[ServerProcess]:
    with start_server({**dashscope.settings, "SPEECH_CACHE_MB": "0"}) as process:
        yield process


@pytest.fixture(scope="module")
def speaker(cosyvoice: ServerProcess) -> Caller:
    return Caller.register(cosyvoice.base_url)


@pytest.fixture
def run(tmp_path: Path, speaker: Caller) -> Callable[[str], bytes]:
    if not shutil.which("curl"):
        pytest.fail("curl is not installed (Debian: apt-get install curl)")

    def shell(script: str) -> bytes:
        script = script.replace("http://localhost:3000", speaker.account.base_url)
        script = script.replace("YOUR_API_KEY", speaker.key)
        script = script.replace("YOUR_TOKEN", speaker.account.access)
        command = ["sh", "-ec", script.replace("curl -X", "curl -sS --fail-with-body -X")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, (done.stdout[:500], done.stderr)
        return done.stdout

    return shell


def test_the_line_in_full(run: Callable[[str], bytes]):
    seconds, peak = heard(run(IN_FULL), "mp3")
    said = "你好，欢迎使用New-API的语音合成功能！"
    assert seconds == pytest.approx(seconds_of(said), rel=0.5)
    assert peak > 0.1


def test_the_line_with_an_output_file(run: Callable[[str], bytes], tmp_path: Path):
    run(IN_SHORT)
    assert heard((tmp_path / "test_audio.mp3").read_bytes(), "mp3")[0] > 0.3


@pytest.mark.parametrize("voice", VOICES)
def test_the_voices_that_are_named(speaker: Caller, dashscope: DashScopeProcess, voice: str):
    dashscope.reset()
    answer = speaker.say(model="cosyvoice-v2", voice=voice)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-voice"] == voice
    [record] = [each for each in dashscope.log()["records"] if each["kind"] == "tts"]
    assert voice in str(record)


@pytest.mark.parametrize("name", OPENAI_NAMES)
def test_the_mapping_of_openai_names(speaker: Caller, dashscope: DashScopeProcess, name: str):
    dashscope.reset()
    for model in ("tts-1", "cosyvoice-v2"):
        answer = speaker.say(model=model, voice=name)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-voice"] == OPENAI_NAMES[name]
    records = [each for each in dashscope.log()["records"] if each["kind"] == "tts"]
    assert len(records) == 2
    assert all(OPENAI_NAMES[name] in str(record) for record in records)


@pytest.mark.parametrize("name", ["mp3", "wav", "opus", "aac", "flac"])
def test_the_formats_that_are_named(speaker: Caller, name: str):
    answer = speaker.say(model="cosyvoice-v2", voice="longyingcui", response_format=name)
    assert heard(answer.content, name)[0] > 0.5


def test_models_of_cosyvoice_are_listed(speaker: Caller):
    names = {card["id"]: card["owned_by"] for card in speaker.ask("GET", "/models").json()["data"]}
    assert names["cosyvoice-v2"] == "dashscope"
    assert names["cosyvoice-v3-flash"] == "dashscope"


def test_a_transcript_by_paraformer(speaker: Caller, dashscope: DashScopeProcess):
    dashscope.script("asr", text="今夜会有东风吗？")
    spoken = speaker.say(input="今夜会有东风吗？", response_format="wav").content
    answer = httpx.post(
        f"{speaker.url}/audio/transcriptions",
        headers=speaker.headers,
        files={"file": ("speech.wav", spoken)},
        data={"model": "paraformer-realtime-v2"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"] == "今夜会有东风吗？"


# As it stands in the documentation, but that it hands out the element instead of dropping it.
IN_A_PAGE = """
async function textToSpeech(text) {
  const response = await fetch('/v1/audio/speech', {
    method: 'POST',
    headers: {
      'Authorization': 'Bearer YOUR_TOKEN',
      'Content-Type': 'application/json'
    },
    body: JSON.stringify({
      model: 'cosyvoice-v2',
      input: text,
      voice: 'longyingcui'
    })
  });

  const audioBlob = await response.blob();
  const audio = new Audio(URL.createObjectURL(audioBlob));
  audio.play();
  return audio;
}
"""
PLAYED = """async () => {
  const audio = await textToSpeech('今夜会有东风吗？');
  await new Promise((resolve, reject) => {
    audio.onended = resolve;
    audio.onerror = () => reject(audio.error);
  });
  return audio.currentTime;
}"""


@pytest.mark.browser
def test_the_lines_of_a_page(speaker: Caller):
    with chromium() as browser:
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(speaker.account.base_url + "/api/health")
        page.add_script_tag(content=IN_A_PAGE.replace("YOUR_TOKEN", speaker.account.access))
        assert page.evaluate(PLAYED) > 0.5
