"""Who is let in to ``/v1/realtime``, by which way, and how all others are refused."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.platform import Client
from tests.processes import ROOT, ServerProcess, environment, manage, start_server
from tests.realtime.client import call, wait_until
from tests.v1.conftest import Caller

pytestmark = pytest.mark.system


def refused(server: ServerProcess, query: str = "model=gpt-realtime", **options: Any) -> Any:
    """Status, headers and error object of a refused handshake."""
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(f"{server.ws_url}/v1/realtime?{query}", **options),
    ):
        pass
    response = caught.value.response
    assert response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    error = json.loads(response.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, response.headers, error


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "api-key"])
def test_a_key_in_each_header(server, caller, header):
    value = f"Bearer {caller.key}" if header == "Authorization" else caller.key
    with call(server.ws_url, headers={header: value}) as line:
        assert line.events[0]["session"]["model"] == "gpt-realtime"
        assert line.connection.subprotocol is None


def test_a_key_among_the_subprotocols_which_is_never_sent_back(server, caller):
    offered = ["realtime", f"openai-insecure-api-key.{caller.key}", "openai-agents-sdk.0.20.0"]
    with call(server.ws_url, subprotocols=offered) as line:
        assert line.connection.subprotocol == "realtime"
        said = str(line.connection.response.headers)
        assert caller.key not in said


def test_an_access_token_does_as_well(server, caller):
    with call(server.ws_url, key=caller.account.access):
        pass
    offered = ["realtime", f"openai-insecure-api-key.{caller.account.access}"]
    with call(server.ws_url, subprotocols=offered):
        pass


def test_the_address_takes_none_but_ephemeral_keys(server, caller):
    status, headers, error = refused(server, f"model=gpt-realtime&api_key={caller.key}")
    assert (status, error["code"]) == (401, "invalid_api_key")
    assert headers["www-authenticate"].startswith("Bearer")
    assert "address" in error["message"]
    made = caller.ask("POST", "/realtime/client_secrets", json={}).json()
    for name in ("api_key", "token"):
        with call(server.ws_url, query={"model": "gpt-realtime", name: made["value"]}):
            pass
    assert made["value"] not in server.log()


def test_the_first_credential_counts(server, caller):
    status, _headers, error = refused(
        server,
        **bearer("sk-wrong"),
        subprotocols=["realtime", f"openai-insecure-api-key.{caller.key}"],
    )
    assert (status, error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("options", [{}, bearer("sk-" + "a" * 43), bearer("ek_" + "a" * 43)])
def test_nobody_is_refused_with_401(server, options):
    status, headers, error = refused(server, **options)
    assert status == 401
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "invalid_api_key"
    assert headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_is_refused(server, caller):
    name = {"name": "short-lived"}
    made = caller.account.request("POST", "/api/keys", json=name).json()["data"]
    with call(server.ws_url, key=made["key"]):
        pass
    caller.account.request("DELETE", f"/api/keys/{made['id']}")
    assert refused(server, **bearer(made["key"]))[0] == 401


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("model=no-such-model", 404, "model_not_found", "model"),
        ("model=role:999999", 404, "model_not_found", "model"),
        ("model=%00", 404, "model_not_found", "model"),
        ("model=gpt-4o-transcribe", 404, "model_not_found", "model"),
        ("", 400, "missing_required_parameter", "model"),
        ("call_id=rtc_1", 400, "unsupported_parameter", "call_id"),
        ("model=gpt-realtime&voice=nobody", 400, "invalid_value", "session.audio.output.voice"),
        ("resume=conv_unknown", 404, "conversation_not_found", "resume"),
        ("resume=%27%3B--", 404, "conversation_not_found", "resume"),
        ("conversation=999999", 404, "conversation_not_found", "conversation"),
        ("conversation=abc", 404, "conversation_not_found", "conversation"),
    ],
)
def test_what_cannot_be_had_is_told_by_http(server, caller, query, status, code, param):
    found, _headers, error = refused(server, query, **bearer(caller.key))
    assert (found, error["code"], error["param"]) == (status, code, param)


@pytest.mark.parametrize(
    "model", ["gpt-realtime", "gpt-4o-realtime-preview", "gpt-realtime-mini", "cosyvoice-v2"]
)
def test_models_of_clients_are_played_by_the_first_preset(server, caller, model):
    first = caller.account.get("/api/role/list", params={"preset": "true"})["list"][0]
    with call(server.ws_url, key=caller.key, query={"model": model}) as line:
        session = line.events[0]["session"]
    assert session["model"] == model
    assert first["name"] in session["instructions"]


def test_a_character_by_id_and_by_name(server, caller):
    own = caller.account.add_role(name="灯塔看守人")
    for model in (f"role:{own}", str(own)):
        with call(server.ws_url, key=caller.key, query={"model": model}) as line:
            assert "灯塔看守人" in line.events[0]["session"]["instructions"]
    # Names are only those of presets: anybody may call a role of theirs what they like.
    assert (
        refused(
            server, "model=%E7%81%AF%E5%A1%94%E7%9C%8B%E5%AE%88%E4%BA%BA", **bearer(caller.key)
        )[0]
        == 404
    )
    with call(server.ws_url, key=caller.key, query={"model": "诸葛亮"}) as line:
        assert "诸葛亮" in line.events[0]["session"]["instructions"]


def test_voice_and_language_of_the_address(server, caller):
    query = {"model": "gpt-realtime", "voice": "marin", "language": "en"}
    with call(server.ws_url, key=caller.key, query=query) as line:
        audio = line.events[0]["session"]["audio"]
    assert audio["output"]["voice"] == "marin"
    assert audio["input"]["transcription"] == {"language": "en"}


@pytest.mark.parametrize("model", ["", "gpt-4o-transcribe", "whisper-1", "gpt-realtime"])
def test_a_session_that_only_hears(server, caller, model):
    query = {"intent": "transcription", **({"model": model} if model else {})}
    with call(server.ws_url, key=caller.key, query=query) as line:
        assert line.events[0]["session"]["type"] == "transcription"
    assert refused(server, "intent=transcription&model=nobody", **bearer(caller.key))[0] == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"headers": {"OpenAI-Beta": "realtime=v1"}},
        {"subprotocols": ["realtime", "openai-beta.realtime-v1"]},
        {"query": {"model": "gpt-realtime", "dialect": "beta"}},
    ],
)
def test_the_beta_dialect_by_its_marks(server, caller, asked):
    with call(server.ws_url, key=caller.key, dialect="beta", **asked) as line:
        assert line.events[0]["session"]["modalities"] == ["text", "audio"]
        assert line.receive()["type"] == "conversation.created"


def test_a_browser_s_session_counts_for_our_own_pages_alone(server):
    manage(
        "shell",
        "-c",
        "from accounts.models import User;"
        "User.objects.create_superuser('keeper', 'k@example.org', 'pear-garden-77')",
        env=server.environment,
    )
    with httpx.Client(base_url=server.base_url) as browser:
        token = browser.get("/admin/login/").cookies["csrftoken"]
        form = {"username": "keeper", "password": "pear-garden-77", "csrfmiddlewaretoken": token}
        assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
    with call(server.ws_url, headers={**cookie, "Origin": server.base_url}):
        pass
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert refused(server, additional_headers={**cookie, **origin})[0] == 401
    forged = {"Cookie": "sessionid=" + "a" * 32, "Origin": server.base_url}
    assert refused(server, additional_headers=forged)[0] == 401


def test_plain_http_is_told_that_it_is_a_socket(server, caller):
    answer = caller.ask("GET", "/realtime", params={"model": "gpt-realtime"})
    assert answer.status_code == 426
    assert answer.json()["error"]["code"] == "upgrade_required"


def test_other_sockets_below_v1_are_404(server, caller):
    with pytest.raises(InvalidStatus) as caught, connect(f"{server.ws_url}/v1/chat"):
        pass
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["error"]["code"] == "not_found"


def test_too_many_connections_of_one_user(providers):
    with start_server({**providers.settings, "MAX_WEBSOCKET_CONNECTIONS": "2"}) as server:
        one, other = Caller.register(server.base_url), Caller.register(server.base_url)
        with call(server.ws_url, key=one.key), call(server.ws_url, key=one.key):
            status, headers, error = refused(server, **bearer(one.key))
            assert (status, error["type"]) == (429, "rate_limit_error")
            assert error["code"] == "rate_limit_exceeded"
            assert int(headers["retry-after"]) > 0
            with call(server.ws_url, key=other.key):
                pass

        def lets_in() -> bool:
            try:
                with call(server.ws_url, key=one.key):
                    return True
            except InvalidStatus:
                return False

        wait_until(lets_in)


def test_a_spent_quota_and_too_many_requests_are_429(providers):
    with start_server({**providers.settings, "RATE_LIMITS": "on"}) as server:
        account = Client.register(server.base_url)
        limits = {"name": "a", "monthly_tokens": 1}
        key = account.request("POST", "/api/keys", json=limits).json()["data"]["key"]
        with call(server.ws_url, key=key, query={"model": "gpt-realtime"}) as line:
            line.ask("你好", output_modalities=["text"])
        found = wait_until(
            lambda: _refusal_or_none(server, key), 20
        )  # what was used is written when the reply has ended
        assert found[0] == 429
        assert found[2]["code"] == found[2]["type"] == "insufficient_quota"
        limits = {"name": "b", "requests_per_minute": 1}
        key = account.request("POST", "/api/keys", json=limits).json()["data"]["key"]
        found = wait_until(lambda: _refusal_or_none(server, key), 20)
        assert (found[0], found[2]["code"]) == (429, "rate_limit_exceeded")
        assert int(found[1]["retry-after"]) > 0


def _refusal_or_none(server: ServerProcess, key: str) -> Any:
    try:
        with call(server.ws_url, key=key):
            return None
    except InvalidStatus:
        return refused(server, **bearer(key))


def test_switched_off_it_is_not_there(providers):
    with start_server({**providers.settings, "REALTIME_ENABLED": "off"}) as server:
        key = Caller.register(server.base_url)
        assert refused(server, **bearer(key.key))[0] == 404
        for path in ("/realtime", "/realtime/client_secrets"):
            assert key.ask("POST", path, json={}).status_code == 404


def test_under_daphne_a_refusal_is_its_403(providers, tmp_path):
    """It lacks the extension, which ``manage.py check`` says."""
    with start_server(providers.settings, server="daphne") as server:
        with pytest.raises(InvalidStatus) as caught, connect(f"{server.ws_url}/v1/realtime"):
            pass
        assert caught.value.response.status_code == 403
        with call(server.ws_url, key=Caller.register(server.base_url).key):
            pass
    values = environment({"ASGI_SERVER": "daphne", "DATA_DIR": str(tmp_path)})
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=values,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "liyuan.W004" in done.stderr
