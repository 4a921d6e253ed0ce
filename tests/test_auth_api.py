"""``/api/auth/*``: who gets in, for how long, and who does not."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.conf import settings as configured
from rest_framework.test import APIClient

from accounts import services
from accounts.authentication import recent_users
from accounts.models import User

LI = {"username": "li", "password": "pear-garden-1"}


@pytest.fixture
def client(db):
    return APIClient()


def post(client, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.post(f"/api/auth/{path}", body or {}, format="json", headers=headers)


def me(client, token):
    return client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})


def data(response):
    body = response.json()
    assert response.status_code == body["code"] == 200, body
    assert body["message"] == "success"
    return body["data"]


def message(response, code):
    body = response.json()
    assert response.status_code == body["code"] == code, body
    assert body["data"] is None
    return body["message"]


@pytest.fixture
def session(client):
    return data(post(client, "register", LI))


# --- Register and login -----------------------------------------------------------------


def test_register_signs_in(client, session):
    user = User.objects.get(username="li")
    assert list(session) == ["access", "refresh", "user"]
    assert session["user"] == {"id": user.pk, "username": "li"}
    assert data(me(client, session["access"])) == session["user"]
    assert not user.is_staff


def test_login_answers_as_register_does(client, session):
    again = data(post(client, "login", LI))
    assert again["user"] == session["user"]
    assert data(me(client, again["access"])) == session["user"]
    assert User.objects.get(username="li").last_login is not None


def test_a_name_in_full_width_letters_is_the_same_name(client, session):
    assert "用户名已被使用" in message(post(client, "register", {**LI, "username": "ｌｉ"}), 400)
    data(post(client, "login", {**LI, "username": "ｌｉ"}))


def test_names_differ_by_more_than_case(client, session):
    assert "用户名已被使用" in message(post(client, "register", {**LI, "username": "LI"}), 400)


@pytest.mark.parametrize("name", ["易安居士", "li.qing-zhao+1@song_dynasty", "ab", "x" * 32])
def test_names_that_are_taken(client, name):
    assert data(post(client, "register", {**LI, "username": name}))["user"]["username"] == name


NAME_RULE = "参数错误: 用户名须为2-32个字符，可用文字、数字和 . @ + - _"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"username": None}, "参数错误: 用户名不能为空"),
        ({"username": ""}, "参数错误: 用户名不能为空"),
        ({"username": "x"}, NAME_RULE),
        ({"username": "x" * 33}, NAME_RULE),
        ({"username": "x" * 151}, "参数错误: 用户名不能超过150个字符"),
        ({"username": "two words"}, NAME_RULE),
        ({"username": "<script>"}, NAME_RULE),
        ({"username": "a\x00b"}, "参数错误: 用户名含有控制字符"),
        ({"username": 12345}, "参数错误: 用户名必须是字符串"),
        ({"username": ["li"]}, "参数错误: 用户名必须是字符串"),
        ({"password": None}, "参数错误: 密码不能为空"),
        ({"password": ""}, "参数错误: 密码不能为空"),
        ({"password": 12345678901}, "参数错误: 密码必须是字符串"),
        ({"password": "p" * 129}, "参数错误: 密码长度必须在8-128个字符之间"),
        ({"password": "short-1"}, "参数错误: 密码长度必须在8-128个字符之间"),
        ({"password": "password123"}, "参数错误: 这个密码太常见了"),
        ({"password": "8431297364"}, "参数错误: 密码只包含数字"),
        ({"username": "qingzhao", "password": "qingzhao1"}, "参数错误: 密码跟 用户名 太相似了"),
    ],
)
def test_a_bad_registration_makes_nobody(client, changes, expected):
    assert message(post(client, "register", {**LI, **changes}), 400) == expected
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.parametrize("path", ["register", "login"])
def test_both_fields_are_required(client, path, field):
    body = {name: value for name, value in LI.items() if name != field}
    label = {"username": "用户名", "password": "密码"}[field]
    assert message(post(client, path, body), 400) == f"参数错误: 缺少{label}"


def test_a_password_keeps_its_spaces(client):
    data(post(client, "register", {**LI, "password": "  pear garden "}))
    data(post(client, "login", {**LI, "password": "  pear garden "}))
    message(post(client, "login", {**LI, "password": "pear garden"}), 401)


@pytest.mark.parametrize(
    "changes", [{"password": "pear-garden-2"}, {"username": "nobody"}, {"password": "x" * 128}]
)
def test_a_wrong_name_and_a_wrong_password_answer_alike(client, session, changes):
    response = post(client, "login", {**LI, **changes})
    assert message(response, 401) == "用户名或密码错误"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_somebody_deactivated_stays_out(client, session):
    User.objects.update(is_active=False)
    recent_users.clear()
    assert message(post(client, "login", LI), 401) == "用户名或密码错误"
    assert message(me(client, session["access"]), 401) == "用户未认证"
    assert message(post(client, "refresh", {"refresh": session["refresh"]}), 401)


def test_a_new_password_ends_the_old_sessions(client, session):
    user = User.objects.get(username="li")
    user.set_password("pear-garden-2")
    user.save()
    recent_users.clear()
    message(me(client, session["access"]), 401)
    message(post(client, "refresh", {"refresh": session["refresh"]}), 401)


# --- Refresh and logout -----------------------------------------------------------------


def test_refresh_gives_a_new_pair_and_ends_the_old_one(client, session):
    fresh = data(post(client, "refresh", {"refresh": session["refresh"]}))
    assert set(fresh) == {"access", "refresh"}
    assert fresh["refresh"] != session["refresh"]
    data(me(client, fresh["access"]))
    message(post(client, "refresh", {"refresh": session["refresh"]}), 401)
    data(post(client, "refresh", {"refresh": fresh["refresh"]}))


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, 400), ("", 400), (5, 400), ("x" * 2001, 400), ("not.a.token", 401), ("é", 401)],
)
def test_a_bad_refresh_token(client, value, code):
    message(post(client, "refresh", {"refresh": value}), code)


def test_an_access_token_does_not_refresh(client, session):
    message(post(client, "refresh", {"refresh": session["access"]}), 401)


def test_logout_ends_both_tokens_at_once(client, session):
    data(me(client, session["access"]))  # now it is remembered
    body = {"refresh": session["refresh"]}
    assert data(post(client, "logout", body, session["access"])) is None
    assert message(me(client, session["access"]), 401) == "用户未认证"
    message(post(client, "refresh", body), 401)


def test_nobody_ends_another_s_session(client, session):
    other = data(post(client, "register", {**LI, "username": "du"}))
    response = post(client, "logout", {"refresh": session["refresh"]}, other["access"])
    assert message(response, 400) == "参数错误: refresh 令牌无效"
    data(post(client, "refresh", {"refresh": session["refresh"]}))
    data(me(client, other["access"]))


# --- Tickets ----------------------------------------------------------------------------


def test_a_ticket_opens_once(client, session):
    answer = data(post(client, "ws-ticket", token=session["access"]))
    assert set(answer) == {"ticket", "expires_in"}
    assert answer["expires_in"] == services.TICKET_SECONDS
    assert services.ticket_redeem(ticket=answer["ticket"]) == session["user"]["id"]
    assert services.ticket_redeem(ticket=answer["ticket"]) is None
    assert services.ticket_redeem(ticket="made up") is None


def test_of_many_at_once_one_redeems_a_ticket(client, session):
    user = User.objects.get(username="li")
    for _ in range(20):
        ticket = services.ticket_issue(user=user)
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda t: services.ticket_redeem(ticket=t), [ticket] * 8))
        assert sorted(results, key=bool) == [None] * 7 + [user.pk]


def test_a_ticket_grows_old(client, session, monkeypatch):
    monkeypatch.setattr(services, "TICKET_SECONDS", 0)
    answer = data(post(client, "ws-ticket", token=session["access"]))
    assert services.ticket_redeem(ticket=answer["ticket"]) is None


# --- Throttles --------------------------------------------------------------------------


def test_the_eleventh_login_of_a_minute_waits(client, session):
    for _ in range(10):
        message(post(client, "login", {**LI, "password": "wrong-one-1"}), 401)
    response = post(client, "login", LI)
    assert message(response, 429) == "请求过于频繁，请稍后再试"
    assert 1 <= int(response.headers["retry-after"]) <= 61
    # Neither another name from here nor the same name from elsewhere is kept out.
    message(post(client, "login", {**LI, "username": "du"}), 401)
    elsewhere = APIClient(REMOTE_ADDR="203.0.113.9")
    data(post(elsewhere, "login", LI))


def test_a_forwarded_address_is_not_believed_without_a_proxy(client, session):
    for number in range(10):
        client.post(
            "/api/auth/login",
            {**LI, "password": "wrong-one-1"},
            format="json",
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        )
    assert post(client, "login", LI).status_code == 429


def test_odd_bodies_do_not_upset_the_throttle(client):
    for body in ([], "text", {"username": {"a": 1}}, {"username": None}):
        response = client.post("/api/auth/login", body, format="json")
        assert response.status_code == 400


def test_registrations_from_one_address_are_counted(client):
    for number in range(20):
        data(post(client, "register", {**LI, "username": f"user{number}"}))
    assert message(post(client, "register", LI), 429)
    assert not User.objects.filter(username="li").exists()


def test_users_are_counted_one_by_one(client, session, monkeypatch):
    from accounts.throttling import UserThrottle

    monkeypatch.setattr(UserThrottle, "THROTTLE_RATES", {"user": "3/min"})
    for _ in range(3):
        data(me(client, session["access"]))
    assert message(me(client, session["access"]), 429)
    other = data(post(client, "register", {**LI, "username": "du"}))
    data(me(client, other["access"]))


def test_the_switch_opens_every_throttle(client, settings):
    settings.RATE_LIMITS = False
    for _ in range(15):
        message(post(client, "login", LI), 401)


@pytest.mark.system
def test_of_many_refreshes_at_once_one_succeeds(server):
    def refresh(token):
        return httpx.post(f"{server.base_url}/api/auth/refresh", json={"refresh": token})

    body = {"username": "racer", "password": "pear-garden-5"}
    session = data(httpx.post(f"{server.base_url}/api/auth/register", json=body))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(refresh, [session["refresh"]] * 8))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    fresh = next(data(answer) for answer in answers if answer.status_code == 200)
    data(refresh(fresh["refresh"]))


# --- Passwords in store -----------------------------------------------------------------


@pytest.mark.system
def test_passwords_are_kept_as_argon2(server):
    body = {"username": "argon", "password": "pear-garden-5"}
    assert httpx.post(f"{server.base_url}/api/auth/register", json=body).status_code == 200
    database = (server.data_dir / "liyuan.sqlite3").read_bytes()
    database += (server.data_dir / "liyuan.sqlite3-wal").read_bytes()
    assert b"argon2$argon2id$" in database
    assert b"pear-garden-5" not in database
    assert b"pear-garden-5" not in server.log().encode()


def test_the_settings_revoke_and_rotate():
    jwt = configured.SIMPLE_JWT
    assert jwt["ROTATE_REFRESH_TOKENS"]
    assert jwt["BLACKLIST_AFTER_ROTATION"]
    assert jwt["CHECK_REVOKE_TOKEN"]
