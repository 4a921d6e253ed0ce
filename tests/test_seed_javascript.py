"""The JavaScript of the contract's examples, in a real browser and in Node."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page

from tests.audio_samples import sample
from tests.browser import chromium
from tests.node import SCRIPTS, node_packages, run_script
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server

pytestmark = [pytest.mark.system, pytest.mark.browser]

REPLY = "亮观天象，今夜必有东风。"


@pytest.fixture(scope="session")
def packages() -> Path:
    return node_packages()


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        process.script("chat", text=REPLY)
        process.script("transcriptions", text="今夜会有东风吗")
        yield process


@pytest.fixture(scope="module")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server(providers.settings) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client.register(server.base_url)


@pytest.fixture
def page(server: ServerProcess, packages: Path) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_context(bypass_csp=True, locale="zh-CN").new_page()
        page.goto(server.base_url + "/api/health")
        page.add_script_tag(path=packages / "axios" / "dist" / "axios.min.js")
        page.add_script_tag(path=SCRIPTS / "contract.js")
        yield page


ROLE = {
    "name": "冒险家",
    "description": "勇敢的冒险者，探索未知世界",
    "gender": "男",
    "age": 30,
    "voice_type": "qiniu_zh_male_wwxkjx",
}


def test_the_rest_calls(page: Page, client: Client):
    voices = page.evaluate("voiceTypes()")
    assert page.evaluate("voiceTypesByAxios()") == voices
    assert voices[0]["voice_type"] == "qiniu_zh_female_wwxkjx"
    role = page.evaluate("([t, r]) => addRole(t, r)", [client.access, ROLE])
    assert isinstance(role, int)
    mine = page.evaluate("([t, u]) => rolesOfUser(t, u)", [client.access, client.user_id])
    assert [r["id"] for r in mine] == [role]
    assert mine[0]["created_at"].endswith("Z")
    listed = page.evaluate("t => listRoles(t)", client.access)
    assert (listed["page"], len(listed["list"])) == (2, 5)
    change = {"name": "新角色名称", "description": "更新后的角色描述，足够长", "age": 35}
    args = [client.access, role, change]
    assert page.evaluate("([t, r, c]) => updateRole(t, r, c)", args) == "角色更新成功"
    assert page.evaluate("([t, r]) => deleteRole(t, r)", [client.access, role]) == "角色删除成功"
    with pytest.raises(Error, match="角色不存在或您无权删除此角色"):
        page.evaluate("([t, r]) => deleteRole(t, r)", [client.access, role])


def test_errors_are_the_contracts(page: Page, client: Client):
    with pytest.raises(Error, match="参数错误: 年龄必须在0-120之间"):
        page.evaluate("([t, r]) => addRole(t, r)", [client.access, {**ROLE, "age": 121}])
    with pytest.raises(Error, match="用户未认证"):
        page.evaluate("([t, r]) => addRole(t, r)", ["forged", ROLE])


def test_chat_by_text_and_voice(page: Page, client: Client):
    role = client.role("诸葛亮")
    ask = "([t, m]) => ask(t, m)"
    message = {"role_id": role, "message": "你好，诸葛亮", "type": "text", "response_type": 0}
    answer = page.evaluate(ask, [client.access, message])
    assert answer == {"role_id": role, "message": REPLY, "type": "text"}
    answer = page.evaluate(ask, [client.access, {**message, "response_type": 1}])
    assert answer["type"] == "voice"
    assert page.evaluate("u => playVoice(u)", answer["message"]) > 0.5


def test_every_sample_of_ours_plays(page: Page, server: ServerProcess):
    voices = page.evaluate("voiceTypes()")
    ours = [v for v in voices if v["sample_url"].startswith(server.base_url)]
    assert len(ours) == 13 + 1  # OpenAI's, and the promised one that its vendor does not know
    for voice in ours[::6]:
        assert page.evaluate("u => playVoice(u)", voice["sample_url"]) > 0.5


def test_the_call_example_in_node(client: Client, server: ServerProcess):
    url = server.base_url + client.upload(sample("mp3"))
    arguments = [client.access, str(client.role("诸葛亮")), url]
    out = run_script("voice_chat.mjs", f"{server.ws_url}/api/ws/voice_chat", *arguments)
    lines = [json.loads(line) for line in out.splitlines()]
    assert all("error" not in line for line in lines)
    pieces = lines[:-1]
    assert [piece["final"] for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert sum(piece["bytes"] for piece in pieces) > 1000
    assert "closed" in lines[-1]
