"""``/v1`` by the models of this machine: what one says, the other understands."""

from collections.abc import Iterator

import httpx
import pytest

from tests.processes import ServerProcess, start_server
from tests.test_local_speech import weights  # noqa: F401
from tests.v1.conftest import Caller
from tests.v1.test_speech import heard

pytestmark = [pytest.mark.system, pytest.mark.speech, pytest.mark.timeout(500)]

TEXT = "The wind has turned, my friend. The night is long, and the river is quiet."
PATIENCE = 180.0  # two busy cores


@pytest.fixture(scope="module")
def local(weights) -> Iterator[ServerProcess]:  # noqa: F811
    with start_server({"SPEECH": "on", "MODELS_DIR": str(weights)}) as process:
        yield process


@pytest.fixture(scope="module")
def resident(local: ServerProcess) -> Caller:
    return Caller.register(local.base_url)


@pytest.fixture(scope="module")
def spoken(resident: Caller) -> bytes:
    return _say(resident, speed=1.0)


def _say(caller: Caller, **fields: object) -> bytes:
    body = {"model": "kokoro-82m", "voice": "kokoro_af_heart", "input": TEXT, **fields}
    answer = httpx.post(
        f"{caller.url}/audio/speech", json=body, headers=caller.headers, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-voice"] == "kokoro_af_heart"
    return answer.content


def _listen(caller: Caller, file: bytes, form: str) -> httpx.Response:
    answer = httpx.post(
        f"{caller.url}/audio/transcriptions",
        files={"file": ("speech.mp3", file)},
        data={"model": "whisper-base", "response_format": form, "language": "en"},
        headers=caller.headers,
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    return answer


def test_what_is_said_is_understood_with_its_times(resident: Caller, spoken: bytes):
    seconds, _peak = heard(spoken, "mp3")
    assert 3 < seconds < 9
    body = _listen(resident, spoken, "verbose_json").json()
    assert body["language"] == "english"
    for word in ("wind", "friend", "night", "river"):
        assert word in body["text"].lower()
    times = [moment for each in body["segments"] for moment in (each["start"], each["end"])]
    assert times == sorted(times)
    assert times[-1] <= seconds + 0.5
    assert " --> " in _listen(resident, spoken, "srt").text


def test_half_the_speed_takes_twice_the_time(resident: Caller, spoken: bytes):
    slow = _say(resident, speed=0.5)
    assert heard(slow, "mp3")[0] == pytest.approx(2 * heard(spoken, "mp3")[0], rel=0.25)


def test_models_that_are_here_are_listed(resident: Caller):
    cards = {card["id"]: card for card in resident.ask("GET", "/models").json()["data"]}
    assert cards["kokoro-82m"]["owned_by"] == cards["whisper-base"]["owned_by"] == "local"
