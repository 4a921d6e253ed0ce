"""Who is let in, how errors are told, which models there are."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.platform import ProviderProcess
from tests.processes import ServerProcess, start_server
from tests.v1.conftest import Caller, error_of

pytestmark = pytest.mark.system


def test_each_way_to_show_a_key(caller: Caller):
    url = f"{caller.url}/models"
    for headers in (
        {"Authorization": f"Bearer {caller.key}"},
        {"Authorization": f"bearer  {caller.key}"},
        {"X-API-Key": caller.key},
        {"api-key": caller.key},
        {"Authorization": "Basic cHJveHk6cHJveHk=", "X-API-Key": caller.key},
        {"Authorization": f"Bearer {caller.account.access}"},
    ):
        assert httpx.get(url, headers=headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer sk-forged"},
        {"Authorization": "Bearer sk-" + "A" * 43},
        {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.forged"},
        {"X-API-Key": "loopback-key"},
    ],
)
def test_nobody_else_is_let_in(caller: Caller, headers: dict[str, str]):
    for method, path in (("GET", "/models"), ("POST", "/audio/speech")):
        answer = httpx.request(method, caller.url + path, headers=headers)
        error = error_of(answer, 401)
        assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "sk-" not in error["message"]


def test_a_revoked_key_ends_at_once(another: Caller):
    assert another.ask("GET", "/models").status_code == 200
    assert another.account.request("DELETE", f"/api/keys/{another.key_id}").status_code == 200
    assert error_of(another.say(), 401)["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nothing",
        "/models/",
        "/audio/translations",
        "/realtime/",
        "/x%0Ay",
        "/%00",
        "/../v1",
    ],
)
def test_unknown_paths(caller: Caller, path: str):
    for method in ("GET", "POST", "DELETE"):
        error = error_of(caller.ask(method, path), 404)
        assert error["type"] == "invalid_request_error"


def test_wrong_methods(caller: Caller):
    for path, allowed in (
        ("/models", "GET, HEAD"),
        ("/models/tts-1", "GET, HEAD"),
        ("/audio/speech", "POST"),
        ("/audio/transcriptions", "POST"),
        ("/chat/completions", "POST"),
    ):
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = caller.ask(method, path)
            error_of(answer, 405)
            assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"input": NaN}',
        b"[" * 50_000,
        b'{"model": "tts-1", "voice": "alloy", "input": "\\ud800"}',
        b'{"model": ' + b"9" * 5_000 + b"}",
    ],
)
def test_bodies_that_are_no_json_object(caller: Caller, body: bytes):
    for path in ("/audio/speech", "/chat/completions"):
        headers = {"Content-Type": "application/json"}
        error = error_of(caller.ask("POST", path, content=body, headers=headers), 400)
        assert error["code"] == "invalid_json"


def test_wrong_content_types(caller: Caller):
    for path in ("/audio/speech", "/chat/completions"):
        for options in ({"data": {"input": "x"}}, {"files": {"file": b"x"}}):
            assert error_of(caller.ask("POST", path, **options), 415)["code"]
    error_of(caller.ask("POST", "/audio/transcriptions", json={"model": "whisper-1"}), 415)


def test_bodies_that_are_too_large(caller: Caller):
    for path in ("/audio/speech", "/chat/completions", "/nothing"):
        answer = caller.ask("POST", path, json={"input": "x" * 2**20})
        assert error_of(answer, 413)["type"] == "invalid_request_error"


def test_a_wrong_host(server: ServerProcess, caller: Caller):
    error_of(caller.ask("GET", "/models", headers={"Host": "elsewhere.example"}), 400)


def test_the_callers_request_id_comes_back(caller: Caller):
    for path, status in (("/models", 200), ("/nothing", 404)):
        answer = caller.ask("GET", path, headers={"X-Request-ID": "mine-1"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine-1")


def test_garbage_on_the_wire_breaks_nothing(server: ServerProcess, caller: Caller):
    host, port = server.base_url.removeprefix("http://").split(":")
    before = len(server.log())
    for sent in (
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xe6\xe6\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(sent)
    assert caller.ask("GET", "/models").status_code == 200
    assert "Traceback" not in server.log()[before:]


# Models


def test_models_and_characters_are_listed(caller: Caller):
    listed = caller.ask("GET", "/models").json()
    assert listed["object"] == "list"
    cards = {card["id"]: card for card in listed["data"]}
    assert {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "whisper-1", "loopback"} <= cards.keys()
    role = cards[f"role:{caller.account.role('诸葛亮')}"]
    assert (role["name"], role["owned_by"]) == ("诸葛亮", "liyuan")
    for card in listed["data"]:
        assert card["object"] == "model"
        assert isinstance(card["created"], int)
        assert card["owned_by"]
        assert caller.ask("GET", f"/models/{card['id']}").json() == card


def test_what_is_not_switched_on_is_not_listed(caller: Caller):
    names = {card["id"] for card in caller.ask("GET", "/models").json()["data"]}
    assert not any(name.startswith(("cosyvoice", "qiniu", "kokoro")) for name in names)


def test_characters_come_in_pages(caller: Caller):
    made = [f"role:{caller.account.add_role(name=f'冒险家{number}')}" for number in range(3)]
    found, after = [], ""
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        page = caller.ask("GET", "/models", params=query).json()
        found += [card["id"] for card in page["data"] if card["id"].startswith("role:")]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert len(found) == len(set(found))
    assert found[-3:] == made
    for query in ({"limit": 0}, {"limit": "x"}, {"after": "tts-1"}, {"limit": 1.5}):
        error_of(caller.ask("GET", "/models", params=query), 400)


@pytest.mark.parametrize(
    "name", ["nothing", "role:0", "role:999999999", "role:99999999999999999999", "role:x", "Role:1"]
)
def test_unknown_models(caller: Caller, name: str):
    messages = [{"role": "user", "content": "x"}]
    for answer in (
        caller.ask("GET", f"/models/{name}"),
        caller.say(model=name),
        caller.ask("POST", "/chat/completions", json={"model": name, "messages": messages}),
        caller.ask(
            "POST", "/audio/transcriptions", data={"model": name}, files={"file": b"x" * 99}
        ),
    ):
        error = error_of(answer, 404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_a_deleted_character_is_gone(caller: Caller):
    role = caller.account.add_role()
    assert caller.ask("GET", f"/models/role:{role}").status_code == 200
    assert caller.account.request("DELETE", f"/api/role/{role}").status_code == 200
    error_of(caller.ask("GET", f"/models/role:{role}"), 404)


# Limits


@pytest.fixture(scope="module")
def limited(providers: ProviderProcess) -> Iterator[ServerProcess]:
    limits = {"RATE_LIMITS": "on", "USER_REQUESTS_PER_MINUTE": "12", "USER_MONTHLY_CHARACTERS": "5"}
    with start_server({**providers.settings, **limits}) as process:
        yield process


def test_a_spent_quota(limited: ServerProcess):
    caller = Caller.register(limited.base_url)
    assert caller.say(input="你好，世界。").status_code == 200
    answer = caller.say()
    error = error_of(answer, 429)
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert int(answer.headers["retry-after"]) > 0
    # Another budget is untouched.
    assert caller.ask("GET", "/models").status_code == 200


def test_a_keys_own_quota(limited: ServerProcess):
    caller = Caller.register(limited.base_url, monthly_characters=2)
    assert caller.say(input="你好").status_code == 200
    assert error_of(caller.say(), 429)["code"] == "insufficient_quota"


def test_too_many_requests(limited: ServerProcess):
    caller = Caller.register(limited.base_url)
    answers = [caller.ask("GET", "/models") for _ in range(26)]  # a minute may end among them
    refused = next(answer for answer in answers if answer.status_code != 200)
    error = error_of(refused, 429)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
