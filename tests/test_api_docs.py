"""The documentation says what the server does, in whole, and asks nobody else."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.test import Client as DjangoClient
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import translation
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from tests.audio_samples import sample
from tests.browser import chromium
from tests.platform import PASSWORD, Client
from tests.processes import ServerProcess, start_server

PAGES = {"/api/docs", "/api/docs/sockets"}
ROLE = {
    "name": "冒险家",
    "description": "勇敢的冒险者，探索未知世界",
    "gender": "男",
    "age": 30,
    "voice_type": "qiniu_zh_male_wwxkjx",
}


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """Django's test client leaves the language of its last request behind."""
    yield
    translation.deactivate()


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    answer = DjangoClient().get("/api/schema", headers={"Accept-Language": "en"})
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.content)


def patterns(resolver: URLResolver, before: str = "") -> list[tuple[str, URLPattern]]:
    found = []
    for each in resolver.url_patterns:
        path = before + str(each.pattern)
        found += patterns(each, path) if isinstance(each, URLResolver) else [(path, each)]
    return found


def api_paths() -> set[str]:
    """Every address below ``/api/``, as OpenAPI writes them."""
    paths = {
        "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", path).replace("{pk}", "{id}")
        for path, _pattern in patterns(get_resolver())
        if path.startswith("api/")
    }
    return {path for path in paths if not path.startswith(("/api/docs", "/api/schema"))}


# --- REST


def test_the_description_is_valid_and_covers_every_address(openapi):
    validate_schema(openapi)
    assert set(openapi["paths"]) == api_paths()


@pytest.mark.parametrize(
    ("language", "words"), [("en", ("Log in", "Bad request")), ("zh-CN", ("登录", "参数错误"))]
)
def test_it_speaks_the_language_that_is_asked_for(language, words):
    answer = DjangoClient().get("/api/schema", headers={"Accept-Language": language})
    login = json.loads(answer.content)["paths"]["/api/auth/login"]["post"]
    assert login["summary"] == words[0]
    assert words[1] in login["responses"]["400"]["description"]


def test_methods_that_are_not_described_are_not_there(openapi, server):
    client = Client.register(server.base_url)
    for path, item in openapi["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} - set(item):
            answer = client.request(method.upper(), re.sub(r"{\w+}", "1", path))
            assert answer.status_code == 405, (method, path)


def closed(node: Any) -> Any:
    """The same schema, without room for members that it does not name."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    copied = {name: closed(each) for name, each in node.items()}
    if node.get("type") == "object" and "properties" in node:
        copied["additionalProperties"] = False
    return copied


class Witness:
    """Sends requests, and compares each answer with its description."""

    def __init__(self, openapi: dict[str, Any], base_url: str) -> None:
        self.openapi = closed(openapi)
        self.base_url = base_url
        self.token = ""
        self.seen: set[tuple[str, str]] = set()

    def __call__(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        address = path.format(**options.pop("values", {}))
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = httpx.request(
            method, self.base_url + address, headers=headers, timeout=30, **options
        )
        assert answer.status_code == status, answer.text
        operation = self.openapi["paths"][path][method.lower()]
        described = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        root = {**described, "components": self.openapi["components"]}
        Draft202012Validator(root, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
            answer.json()
        )
        if status == 200:
            self.seen.add((method.lower(), path))
        return answer.json()


@pytest.fixture
def speaking() -> Iterator[ServerProcess]:
    """A server with a voice that nobody reaches: what is to be spoken stays to be spoken."""
    with start_server({"TTS_BASE_URL": "http://127.0.0.1:9/v1"}) as running:
        yield running


def test_what_the_server_answers_is_what_the_description_says(openapi, speaking):
    ask = Witness(openapi, speaking.base_url)
    name = Client.register(speaking.base_url).username + "x"
    credentials = {"username": name, "password": PASSWORD}
    ask("GET", "/api/health")
    ask("GET", "/api/voiceTypes")
    ask("GET", "/api/auth/me", 401)
    ask("POST", "/api/auth/register", json=credentials)
    ask("POST", "/api/auth/register", 400, json=credentials)
    ask("POST", "/api/auth/login", 401, json={**credentials, "password": "wrong"})
    tokens = ask("POST", "/api/auth/login", json=credentials)["data"]
    tokens |= ask("POST", "/api/auth/refresh", json={"refresh": tokens["refresh"]})["data"]
    ask.token = tokens["access"]
    user = ask("GET", "/api/auth/me")["data"]
    ask("POST", "/api/auth/ws-ticket")

    ask("POST", "/api/keys", 400, json={"name": "", "monthly_tokens": 0})
    key = ask("POST", "/api/keys", json={"name": "x", "monthly_tokens": 9})["data"]
    values = {"key_id": key["id"]}
    expiry = {"expires_at": "2099-01-01T00:00:00Z", "monthly_tokens": None}
    ask("PATCH", "/api/keys/{key_id}", values=values, json=expiry)
    assert len(ask("GET", "/api/keys")["data"]) == 1
    ask("DELETE", "/api/keys/{key_id}", values=values)
    ask("DELETE", "/api/keys/{key_id}", 404, values=values)
    ask("GET", "/api/usage", 400, params={"group": "user"})
    for group in ("day", "provider", "role", "key"):
        ask("GET", "/api/usage", params={"group": group})

    ask("POST", "/api/role/add", 400, json={**ROLE, "age": 121})
    ask("POST", "/api/role/add", 415, content=b"<role/>")
    role = ask("POST", "/api/role/add", json={**ROLE, "greeting": "你好"})["data"]
    ask("PUT", "/api/role/{role_id}", values=role, json={"age": 31})
    ask("PUT", "/api/role/{role_id}", 403, values={"role_id": 10**9}, json={"age": 31})
    ask("GET", "/api/role/{role_id}", values=role)
    assert ask("GET", "/api/role/{role_id}/greeting", values=role)["data"] == {"url": None}
    ask("GET", "/api/role/{role_id}/greeting", 404, values={"role_id": 10**9})
    ask("GET", "/api/role/list", params={"page_size": 50})
    ask("GET", "/api/role/list", 400, params={"page": 0})
    ask("GET", "/api/role/user/{user_id}", values={"user_id": user["id"]})
    ask("GET", "/api/role/user/{user_id}", 404, values={"user_id": 10**9})

    ask("POST", "/api/conversations", 404, json={"role_id": 10**9})
    opened = ask("POST", "/api/conversations", json=role)["data"]
    conversations = ask("GET", "/api/conversations", params=role)["data"]
    assert conversations["list"][0]["last_message"]["text"] == "你好"
    ask("GET", "/api/conversations/{id}", values=opened)
    ask("GET", "/api/conversations/{id}/messages", values=opened)
    ask("DELETE", "/api/conversations/{id}", values=opened)
    ask("DELETE", "/api/conversations/{id}", 404, values=opened)

    ask("POST", "/api/upload_voice", files={"file": ("a.mp3", sample("mp3"))})
    ask("POST", "/api/upload_voice", 400, files={"file": ("a.mp3", b"no audio")})
    ask("POST", "/api/upload_voice", 415, json={})
    ask("DELETE", "/api/role/{role_id}", values=role)
    ask("DELETE", "/api/role/{role_id}", 403, values=role)
    ask("POST", "/api/auth/logout", json={"refresh": tokens["refresh"]})

    described = {(method, path) for path in openapi["paths"] for method in openapi["paths"][path]}
    assert ask.seen == described


# --- the pages


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("path", sorted(PAGES))
def test_a_page_is_there_for_everybody_and_names_nothing_foreign(path, language):
    answer = DjangoClient().get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f'<html lang="{language}"' in html
    for address in re.findall(r'(?:src|href|action|data-schema)="([^"]*)"', html):
        assert address.startswith(("/", "#", "?")), address
        assert not address.startswith("//"), address
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.fixture(scope="module")
def browser():
    with chromium(["--lang=en"]) as running:
        yield running


class Visit:
    """A page that is looked at; what it asked for and complained of."""

    def __init__(self, browser, base_url: str, path: str, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(base_url + path)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")}


@pytest.mark.browser
def test_the_rest_page_shows_every_operation_and_tries_one(browser, server, openapi):
    visit = Visit(browser, server.base_url, "/api/docs", locale="en-GB")
    page = visit.page
    page.locator(".opblock").first.wait_for()
    assert page.locator(".opblock").count() == sum(map(len, openapi["paths"].values()))
    voices = page.locator(".opblock", has_text="/api/voiceTypes")
    voices.locator(".opblock-summary-control").click()
    voices.get_by_role("button", name="Try it out").click()
    voices.get_by_role("button", name="Execute").click()
    answer = voices.locator(".live-responses-table .highlight-code").first
    answer.wait_for()
    assert "qiniu_zh_female_wwxkjx" in answer.inner_text()
    assert visit.hosts() == {urlsplit(server.base_url).netloc}
    assert visit.complaints == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_sockets_page_fits_and_can_be_had_in_both_languages(browser, server, width):
    visit = Visit(
        browser, server.base_url, "/api/docs/sockets", viewport={"width": width, "height": 800}
    )
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="中文").click()
    assert page.get_by_role("heading", name="关闭码").count() == 2
    page.get_by_role("link", name="English").click()
    assert page.get_by_role("heading", name="Close codes").count() == 2
    assert visit.hosts() == {urlsplit(server.base_url).netloc}
    assert visit.complaints == []
    page.close()
