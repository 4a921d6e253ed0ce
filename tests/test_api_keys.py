"""API keys: made, shown once, limited, revoked; and what signs in to ``/v1``."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import credentials, services
from accounts.credentials import credential_of, recent_keys
from accounts.models import ApiKey, User
from config.logs import redact

# Whatever is kept in memory is told of changes when a transaction is committed.
pytestmark = pytest.mark.django_db(transaction=True)
LIMITS = ("requests_per_minute", "monthly_characters", "monthly_seconds", "monthly_tokens")


@pytest.fixture
def li() -> User:
    return User.objects.create_user("li", password="pear-garden-1")


@pytest.fixture
def du() -> User:
    return User.objects.create_user("du", password="pear-garden-1")


def signed_in(user: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {services.tokens_issue(user=user).access}")
    return client


@pytest.fixture
def client(li) -> APIClient:
    return signed_in(li)


def data(response):
    body = response.json()
    assert response.status_code == body["code"] == 200, body
    return body["data"]


def message(response, code):
    body = response.json()
    assert response.status_code == body["code"] == code, body
    assert body["data"] is None
    return body["message"]


def create(client, **fields):
    return client.post("/api/keys", {"name": "手机", **fields}, format="json")


def change(client, key_id, **fields):
    return client.patch(f"/api/keys/{key_id}", fields, format="json")


# --- Making, reading, changing, revoking ------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_a_digest(client, li):
    made = data(create(client, monthly_characters=5000))
    raw = made.pop("key")
    assert raw.startswith(made["prefix"])
    assert raw.startswith("sk-")
    assert len(raw) == 46
    assert data(client.get("/api/keys")) == [made]
    assert made["name"] == "手机"
    assert made["monthly_characters"] == 5000
    assert made["requests_per_minute"] is None
    assert made["last_used_at"] is None
    assert made["spent"] == {"characters": 0, "seconds": 0, "tokens": 0}
    row = ApiKey.objects.get()
    assert row.user == li
    stored = [str(value) for value in ApiKey.objects.values_list().get()]
    assert not [value for value in stored if raw[10:] in value]


def test_every_key_is_another(client):
    assert len({data(create(client))["key"] for _ in range(5)}) == 5


def test_a_key_is_changed_in_part(client):
    made = data(create(client, requests_per_minute=5, monthly_seconds=60))
    until = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    changed = data(
        change(client, made["id"], name="平板", monthly_seconds=None, expires_at=until.isoformat())
    )
    assert changed["name"] == "平板"
    assert changed["requests_per_minute"] == 5
    assert changed["monthly_seconds"] is None
    assert changed["expires_at"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    assert data(client.get("/api/keys")) == [changed]
    assert data(change(client, made["id"])) == changed


def test_a_revoked_key_is_gone_and_refused_at_once(client):
    made = data(create(client))
    assert credential_of(made["key"]) is not None
    answer = client.delete(f"/api/keys/{made['id']}")
    assert answer.json() == {"code": 200, "message": "API 密钥已吊销", "data": None}
    assert credential_of(made["key"]) is None
    assert data(client.get("/api/keys")) == []
    assert message(change(client, made["id"], name="x"), 404) == "API 密钥不存在"
    assert message(client.delete(f"/api/keys/{made['id']}"), 404) == "API 密钥不存在"
    assert ApiKey.objects.filter(revoked_at__isnull=False).exists()


def test_nobody_sees_or_touches_another_s_keys(client, du):
    made = data(create(client))
    other = signed_in(du)
    assert data(other.get("/api/keys")) == []
    assert message(change(other, made["id"], name="x"), 404)
    assert message(other.delete(f"/api/keys/{made['id']}"), 404)
    assert message(other.delete(f"/api/keys/{10**40}"), 404)
    assert data(client.get("/api/keys"))[0]["name"] == "手机"


def test_there_are_so_many_keys_and_no_more(client, settings):
    settings.API_KEYS_PER_USER = 2
    first = data(create(client))
    data(create(client))
    assert message(create(client), 400) == "参数错误: API 密钥最多 2 个"
    data(client.delete(f"/api/keys/{first['id']}"))
    data(create(client))


def test_a_key_opens_nothing_below_api(client):
    raw = data(create(client))["key"]
    program = APIClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {raw}")
    for answer in (
        program.get("/api/keys"),
        create(program),
        program.get("/api/usage"),
        program.get("/api/auth/me"),
    ):
        assert message(answer, 401) == "用户未认证"


def test_without_a_token_there_are_no_keys(li):
    for answer in (APIClient().get("/api/keys"), create(APIClient())):
        assert message(answer, 401) == "用户未认证"


FUTURE = "必须是带时区的 ISO 8601 时间"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": None}, "名称不能为空"),
        ({"name": ""}, "名称不能为空"),
        ({"name": "  "}, "名称不能为空"),
        ({"name": 5}, "名称必须是字符串"),
        ({"name": ["a"]}, "名称必须是字符串"),
        ({"name": "x" * 61}, "名称不能超过60个字符"),
        ({"name": "a\x00b"}, "名称含有控制字符"),
        ({"name": "a\nb"}, "名称含有控制字符"),
        ({"name": "a\u202eb"}, "名称含有控制字符"),
        ({"expires_at": "tomorrow"}, f"到期时间{FUTURE}"),
        ({"expires_at": ""}, f"到期时间{FUTURE}"),
        ({"expires_at": 1893456000}, f"到期时间{FUTURE}"),
        ({"expires_at": True}, f"到期时间{FUTURE}"),
        ({"expires_at": "2099-01-01"}, f"到期时间{FUTURE}"),
        ({"expires_at": "2099-01-01T00:00:00"}, f"到期时间{FUTURE}"),
        ({"expires_at": "2099-02-30T00:00:00Z"}, f"到期时间{FUTURE}"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, f"到期时间{FUTURE}"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, f"到期时间{FUTURE}"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "到期时间必须在将来"),
        *(
            ({name: value}, None)
            for name in LIMITS
            for value in (0, -1, 1.0, 1.5, "5", True, [], {}, 10**13, 10**400)
        ),
    ],
)
def test_bad_fields_make_and_change_nothing(client, fields, expected):
    made = data(create(client))
    del made["key"]
    for answer in (create(client, **fields), change(client, made["id"], **fields)):
        said = message(answer, 400)
        assert said.startswith("参数错误: ")
        if expected:
            assert said == f"参数错误: {expected}"
        else:
            assert "必须" in said
    assert data(client.get("/api/keys")) == [made]


@pytest.mark.parametrize("body", [[], "text", None, 5])
def test_a_body_is_an_object(client, body):
    assert message(client.post("/api/keys", body, format="json"), 400)


def test_a_name_is_required(client):
    said = message(client.post("/api/keys", {}, format="json"), 400)
    assert said == "参数错误: 缺少名称"


def test_the_list_costs_the_same_however_many_there_are(client, li):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            data(client.get("/api/keys"))
        return len(captured)

    data(create(client))
    queries()
    before = queries()
    for _ in range(8):
        data(create(client))
    assert queries() == before


# --- Signing in -------------------------------------------------------------------------


def test_tokens_and_keys_sign_in(li):
    key, raw = services.key_create(user=li, name="x")
    by_key = credential_of(raw)
    assert (by_key.user, by_key.key, by_key.key_id) == (li, key, key.pk)
    by_token = credential_of(services.tokens_issue(user=li).access)
    assert (by_token.user, by_token.key, by_token.key_id) == (li, None, None)


@pytest.mark.parametrize(
    "raw",
    ["", "sk-", "sk-x", "sk-" + "x" * 43, "sk-" + "é" * 43, "sk-" + "\x00" * 43, "x", "\udce9"],
)
def test_what_is_no_credential_is_nobody_s(li, raw):
    services.key_create(user=li, name="x")
    assert credential_of(raw) is None


def test_a_key_with_another_end_is_another(li):
    _key, raw = services.key_create(user=li, name="x")
    other = raw[:-1] + ("A" if raw[-1] != "A" else "B")
    assert credential_of(other) is None
    assert credential_of(raw + "x") is None
    assert credential_of(raw) is not None


def test_refresh_tokens_do_not_sign_in(li):
    assert credential_of(services.tokens_issue(user=li).refresh) is None


def test_a_key_known_a_moment_ago_asks_the_database_nothing(li):
    _key, raw = services.key_create(user=li, name="x")
    credential_of(raw)
    with CaptureQueriesContext(connection) as captured:
        for _ in range(5):
            assert credential_of(raw) is not None
    assert len(captured) == 0


def test_a_key_ends_in_time_although_it_was_known(li):
    soon = timezone.now() + timedelta(seconds=0.5)
    _key, raw = services.key_create(user=li, name="x", expires_at=soon)
    assert credential_of(raw) is not None
    time.sleep(max(0.0, (soon - timezone.now()).total_seconds()) + 0.01)
    assert credential_of(raw) is None


def test_new_limits_and_names_are_seen_at_once(li):
    key, raw = services.key_create(user=li, name="x")
    credential_of(raw)
    services.key_update(key=key, requests_per_minute=7)
    assert credential_of(raw).key.requests_per_minute == 7


def test_what_another_process_revoked_is_noticed_soon(li, monkeypatch):
    monkeypatch.setattr(credentials, "USER_SECONDS", 0.2)
    key, raw = services.key_create(user=li, name="x")
    assert credential_of(raw) is not None
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())  # as if elsewhere
    assert credential_of(raw) is not None
    until = time.monotonic() + 5
    while credential_of(raw) is not None:
        assert time.monotonic() < until


def test_a_key_read_before_it_was_revoked_is_not_remembered_after(li):
    key, raw = services.key_create(user=li, name="x")
    digest = credentials.digest_of(raw)
    changes = recent_keys.changes
    stale = ApiKey.objects.select_related("user").get(pk=key.pk)
    services.key_revoke(key=key)
    recent_keys.put(digest, stale, changes=changes)
    assert credential_of(raw) is None


def test_keys_of_somebody_deactivated_are_refused(li):
    _key, raw = services.key_create(user=li, name="x")
    li.is_active = False
    li.save()
    assert credential_of(raw) is None


def test_a_key_goes_with_its_user(li):
    _key, raw = services.key_create(user=li, name="x")
    li.delete()
    assert credential_of(raw) is None
    assert not ApiKey.objects.exists()


def test_the_last_use_is_written_once_a_minute(li):
    key, raw = services.key_create(user=li, name="x")
    before = timezone.now()
    credential_of(raw)
    key.refresh_from_db()
    first = key.last_used_at
    assert before <= first <= timezone.now()
    recent_keys.clear()
    credential_of(raw)
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    recent_keys.clear()
    credential_of(raw)
    key.refresh_from_db()
    assert key.last_used_at >= first


# --- Against a server -------------------------------------------------------------------


@pytest.mark.system
def test_no_key_is_in_the_log_or_in_the_database(server):
    body = {"username": "keys", "password": "pear-garden-5"}
    access = data(httpx.post(f"{server.base_url}/api/auth/register", json=body))["access"]
    with httpx.Client(
        base_url=server.base_url, headers={"Authorization": f"Bearer {access}"}
    ) as client:
        made = data(client.post("/api/keys", json={"name": "log"}))
        raw = made["key"]
        refused = client.get("/api/auth/me", headers={"Authorization": f"Bearer {raw}"})
        assert refused.status_code == 401
        assert client.get(f"/api/{raw}").status_code == 404
        assert client.get("/api/keys", params={"api_key": raw}).status_code == 200
    assert raw[10:] not in server.log()
    database = (server.data_dir / "liyuan.sqlite3").read_bytes()
    database += (server.data_dir / "liyuan.sqlite3-wal").read_bytes()
    assert made["prefix"].encode() in database
    assert raw[10:].encode() not in database


@pytest.mark.system
def test_of_many_made_at_once_there_are_no_more_than_allowed(server):
    body = {"username": "greedy", "password": "pear-garden-5"}
    access = data(httpx.post(f"{server.base_url}/api/auth/register", json=body))["access"]
    headers = {"Authorization": f"Bearer {access}"}

    def make(number):
        url = f"{server.base_url}/api/keys"
        return httpx.post(url, json={"name": f"k{number}"}, headers=headers, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(make, range(24)))
    assert statuses == [200] * 20 + [400] * 4


def test_a_key_is_blanked_wherever_it_stands_in_the_log(li, caplog):
    key, raw = services.key_create(user=li, name="x")
    for text in (raw, f"key={raw}.", f"Bearer {raw}", f"['{raw}']", f"/v1/x?api_key={raw}&y"):
        event = redact(logging.getLogger(), "info", {"event": text, "path": text, "error": text})
        assert raw[10:] not in str(event)
    assert raw not in repr(key)
    assert raw not in repr(credential_of(raw))
    assert datetime.now(UTC) > key.created_at
