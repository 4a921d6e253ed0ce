"""The Agents SDK in a browser: its key goes into a subprotocol, and is short-lived."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page

from tests.browser import chromium
from tests.node import node_packages
from tests.platform import ProviderProcess
from tests.realtime_clients.client_process import SCRIPTS
from tests.realtime_clients.conftest import HEARD, REPLY, Wire
from tests.realtime_clients.test_seed_examples import audio, short_lived
from tests.servers.voiced import seconds_of
from tests.v1.conftest import Caller

pytestmark = [pytest.mark.system, pytest.mark.browser]

# Said while the character is still heard: nothing like what it says, so it is no echo.
ASIDE = "你叫什么名字？"
BUNDLE = Path("@openai/agents-realtime/dist/bundle/openai-realtime-agents.umd.js")


@pytest.fixture
def page(wire: Wire) -> Iterator[Page]:
    packages = node_packages()
    with chromium() as browser:
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{wire.tap.base_url}/api/health")
        page.add_script_tag(path=packages / BUNDLE)
        page.add_script_tag(path=SCRIPTS / "agents_in_browser.js")
        yield page


def test_turns_in_text_and_in_speech(
    page: Page, wire: Wire, caller: Caller, zhuge: str, providers: ProviderProcess
):
    providers.script("transcriptions", text=ASIDE)
    options = {"url": wire.realtime_url, "model": zhuge, "text": HEARD, "audio": audio()}
    found = page.evaluate("o => agentTurn(o)", {**options, "apiKey": short_lived(caller)})
    assert found["errors"] == []
    assert found["outputs"] == [REPLY, REPLY]
    assert found["heard"] == ASIDE
    assert found["bytes"] / 48_000 == pytest.approx(2 * seconds_of(REPLY), abs=0.4)


def test_a_key_that_has_been_forged(page: Page, wire: Wire, zhuge: str):
    options = {"url": wire.realtime_url, "model": zhuge, "text": HEARD, "audio": []}
    with pytest.raises(Error):
        page.evaluate("o => agentTurn(o)", {**options, "apiKey": "ek_forged"})
    assert wire.tap.sockets() == []
    assert 401 in {each.status for each in wire.tap.exchanges}
