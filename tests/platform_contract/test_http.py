"""Methods, paths, languages and headers."""

import pytest

from tests.platform_contract.speaking import HERO, ok, refused

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/voiceTypes", "GET"),
        ("GET", "/api/role/add", "POST"),
        ("PUT", "/api/role/add", "POST"),
        ("POST", "/api/role/list", "GET"),
        ("DELETE", "/api/role/list", "GET"),
        ("POST", "/api/role/user/1", "GET"),
        ("POST", "/api/role/1", "GET, PUT, DELETE"),
        ("PATCH", "/api/role/1", "GET, PUT, DELETE"),
        ("GET", "/api/auth/login", "POST"),
        ("GET", "/api/auth/register", "POST"),
        ("DELETE", "/api/auth/me", "GET"),
    ],
)
def test_another_method_is_405(alice, method, path, allowed):
    response = alice(method, path)
    refused(response, 405, "不支持的请求方法")
    offered = set(response.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"}
    assert offered == set(allowed.split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nothing",
        "/api/role",
        "/api/role/",
        "/api/role/abc",
        "/api/role/-1",
        "/api/role/1.5",
        "/api/role/1/",
        "/api/role/list/",
        "/api/role/user/",
        "/api/role/user/x",
        "/api/voicetypes",
        "/api/voiceTypes/",
        "/api/%00",
        "/api/..%2fadmin",
        "/api/<script>",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_an_unknown_path_is_404_in_json(alice, method, path):
    refused(alice(method, path), 404, "资源不存在")


def test_a_foreign_host_header_is_400_in_json(http):
    response = http.get("/api/voiceTypes", headers={"Host": "evil.example"})
    assert refused(response, 400).startswith("参数错误")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (None, "参数错误: 年龄必须在0-120之间"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "参数错误: 年龄必须在0-120之间"),
        ("zh-TW", "参数错误: 年龄必须在0-120之间"),
        ("fr,de;q=0.5", "参数错误: 年龄必须在0-120之间"),
        ("*;q=nonsense", "参数错误: 年龄必须在0-120之间"),
        ("en-GB,en;q=0.9", "Bad request: age must be between 0 and 120"),
    ],
)
def test_messages_follow_accept_language(alice, asked, message):
    headers = {"Accept-Language": asked} if asked else {}
    body = {**HERO, "age": 121}
    refused(alice("POST", "/api/role/add", json=body, headers=headers), 400, message)


def test_every_kind_of_error_speaks_english(alice, http):
    english = {"Accept-Language": "en"}
    for response, code in [
        (http.get("/api/role/list", headers=english), 401),
        (alice("DELETE", "/api/role/0", headers=english), 403),
        (alice("GET", "/api/role/0", headers=english), 404),
        (alice("GET", "/api/nothing", headers=english), 404),
        (alice("GET", "/api/role/add", headers=english), 405),
        (alice("POST", "/api/role/add", content=b"x" * 2**21, headers=english), 413),
        (alice("POST", "/api/role/add", content=b"x", headers=english), 415),
        (alice("POST", "/api/role/add", json=[], headers=english), 400),
    ]:
        assert refused(response, code).isascii(), response.text
    created = alice("POST", "/api/role/add", json=HERO, headers=english)
    assert created.json()["message"] == "The character was created"


def test_an_answer_is_json_whatever_the_client_accepts(alice):
    for accept in ("text/html", "application/xml", "image/*", "nonsense"):
        ok(alice("GET", "/api/role/list", headers={"Accept": accept}))


def test_every_answer_forbids_sniffing_and_names_its_request(alice):
    response = alice("GET", "/api/role/list", headers={"X-Request-ID": "abc-123"})
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"] == "abc-123"
