"""The contract's JavaScript for ``/v1/realtime``, in a real browser."""

import base64
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser import chromium
from tests.platform import ProviderProcess
from tests.realtime_clients.client_process import SCRIPTS
from tests.realtime_clients.conftest import HEARD, REPLY, Wire
from tests.realtime_clients.speech import blocks, utterance
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller
from tests.v1.test_speech import heard

pytestmark = [pytest.mark.system, pytest.mark.browser]

MODEL = "cosyvoice-v2"
# Each of them the first example is to see.
PROMISED = {
    "session.created",
    "session.updated",
    "conversation.item.created",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.audio_transcript.delta",
    "response.audio.delta",
    "response.audio.done",
    "response.audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
}


@pytest.fixture
def page(wire: Wire) -> Iterator[Page]:
    wire.dialect = "beta"
    with chromium() as browser:
        page = browser.new_context(bypass_csp=True, locale="zh-CN").new_page()
        page.goto(f"{wire.tap.base_url}/api/health")
        page.add_script_tag(path=SCRIPTS / "seed_examples.js")
        yield page


def audio() -> list[str]:
    return [base64.b64encode(each).decode() for each in blocks(utterance(), 200)]


def short_lived(caller: Caller) -> str:
    answer = caller.ask("POST", "/realtime/client_secrets", json={})
    assert answer.status_code == httpx.codes.OK, answer.text
    key: str = answer.json()["value"]
    return key


def test_the_first_example(page: Page, wire: Wire, caller: Caller):
    url = f"{wire.realtime_url}?model={MODEL}"
    call = "([url, token, audio]) => firstExample(url, token, audio)"
    found = page.evaluate(call, [url, caller.key, audio()])
    assert found["protocol"] == "realtime"
    assert set(found["kinds"]) >= PROMISED
    assert "error" not in found["kinds"]
    updated = found["updated"]
    assert updated["voice"] == "longyingcui"
    assert updated["modalities"] == ["text", "audio"]
    assert updated["turn_detection"]["silence_duration_ms"] == 200
    assert found["statuses"][:2] == ["completed", "completed"]
    assert found["statuses"][2] in ("completed", "cancelled")


def test_other_settings_of_the_contract(page: Page, wire: Wire, caller: Caller):
    url = f"{wire.realtime_url}?model={MODEL}&dialect=beta"
    call = "([url, token, audio]) => otherSettings(url, token, audio)"
    found = page.evaluate(call, [url, caller.key, audio()])
    assert found["updated"]["turn_detection"] is None
    assert found["updated"]["output_audio_format"] == "mp3"
    data = b"".join(base64.b64decode(each) for each in found["audio"])
    assert heard(data, "mp3")[0] == pytest.approx(seconds_of(REPLY), abs=0.3)


def test_the_second_example(page: Page, wire: Wire, caller: Caller, providers: ProviderProcess):
    url = f"{wire.realtime_url}?model={MODEL}&dialect=beta&token={short_lived(caller)}"
    heard_bytes = page.evaluate("([url, text]) => secondExample(url, text)", [url, HEARD])
    assert heard_bytes / 48_000 == pytest.approx(seconds_of(REPLY), abs=0.2)
    (asked,) = (e["body"] for e in providers.log()["exchanges"] if e["endpoint"] == "chat")
    assert asked["messages"][-1]["content"] == HEARD
