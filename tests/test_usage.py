"""The ledger: what was used, by whom, of which provider, and what is left of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import quotas, selectors, services
from accounts.credentials import Credential
from accounts.models import UsageDay, User
from accounts.quotas import QuotaSpent, RateExceeded, month_sums
from config import env
from config.checks import prices_name_units
from tests.platform import Client
from tests.processes import ROOT, environment, manage, start_server
from tests.services import PostgresServer

# Sums in memory grow when a transaction is committed.
pytestmark = pytest.mark.django_db(transaction=True)

CHARACTERS = ("openai", "characters")
SECONDS = ("openai", "seconds")


@pytest.fixture
def li() -> User:
    return User.objects.create_user("li", password="pear-garden-1")


@pytest.fixture
def du() -> User:
    return User.objects.create_user("du", password="pear-garden-1")


@pytest.fixture
def client(li) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {services.tokens_issue(user=li).access}")
    return client


def data(response):
    body = response.json()
    assert response.status_code == body["code"] == 200, body
    return body["data"]


def message(response, code):
    body = response.json()
    assert response.status_code == body["code"] == code, body
    return body["message"]


def add(user, amounts, role_id=None, key=None, days_ago=0):
    """To the ledger; straight into its table for a day that has gone."""
    if not days_ago:
        key_id = key.pk if key else None
        services.usage_add(user_id=user.pk, role_id=role_id, amounts=amounts, key_id=key_id)
        return
    day = datetime.now(UTC).date() - timedelta(days=days_ago)
    for (provider, unit), amount in amounts.items():
        names = {"role_id": role_id, "key": key, "provider": provider, "unit": unit}
        UsageDay.objects.create(user=user, day=day, amount=amount, **names)


# --- Writing ----------------------------------------------------------------------------


def test_amounts_of_a_day_are_added_up(li):
    for _ in range(3):
        add(li, {CHARACTERS: 7, SECONDS: 0.25})
    rows = UsageDay.objects.order_by("unit").values_list("user", "provider", "unit", "amount")
    assert list(rows) == [
        (li.pk, "openai", "characters", 21),
        (li.pk, "openai", "seconds", 0.75),
    ]
    assert {row.day for row in UsageDay.objects.all()} == {datetime.now(UTC).date()}


def test_users_roles_keys_providers_and_days_are_kept_apart(li, du):
    key, _raw = services.key_create(user=li, name="x")
    for _ in range(2):
        add(li, {CHARACTERS: 1})
        add(li, {CHARACTERS: 2}, role_id=5)
        add(li, {CHARACTERS: 4}, role_id=5, key=key)
        add(li, {CHARACTERS: 8}, key=key)
        add(li, {("local", "characters"): 16})
        add(du, {CHARACTERS: 32})
    assert sorted(UsageDay.objects.values_list("amount", flat=True)) == [2, 4, 8, 16, 32, 64]
    add(li, {CHARACTERS: 1}, days_ago=1)
    add(li, {CHARACTERS: 1})
    assert UsageDay.objects.count() == 7


def test_nothing_writes_nothing(li):
    add(li, {})
    add(li, {CHARACTERS: 0})
    assert not UsageDay.objects.exists()


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf")])
def test_what_is_no_amount_is_refused_as_a_whole(li, amount):
    with pytest.raises(ValueError, match="not amounts"):
        add(li, {SECONDS: 1, CHARACTERS: amount})
    assert not UsageDay.objects.exists()


def test_nobody_s_usage_is_refused(li):
    li_id = li.pk
    li.delete()
    with pytest.raises(IntegrityError):
        services.usage_add(user_id=li_id, role_id=None, amounts={CHARACTERS: 1})
    assert not UsageDay.objects.exists()


def test_the_ledger_goes_with_its_user(li):
    key, _raw = services.key_create(user=li, name="x")
    add(li, {CHARACTERS: 1}, key=key)
    li.delete()
    assert not UsageDay.objects.exists()


_RACE = """
import sys, threading
import django
django.setup()
from django.db import connection
from accounts import services
from accounts.models import UsageDay, User
user = User.objects.get_or_create(username="racer")[0]
together, failures = threading.Barrier(8), []
def work():
    together.wait()
    try:
        for number in range(25):
            services.usage_add(
                user_id=user.pk,
                role_id=number % 2 or None,
                amounts={("b", "characters"): 3, ("a", "seconds"): 0.5},
            )
    except Exception as error:
        failures.append(repr(error))
    finally:
        connection.close()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failures or "done")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path) -> Iterator[dict[str, str]]:
    """The environment of processes that share a fresh database of that kind."""
    settings = {"DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
    if request.param == "sqlite":
        yield environment(settings)
        return
    with PostgresServer() as postgres:
        yield environment({**settings, "DATABASE_URL": postgres.url})


@pytest.mark.system
def test_threads_and_processes_at_once_lose_nothing(database):
    manage("migrate", "--verbosity", "0", env=database)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE],
            cwd=ROOT,
            env=database,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert output.strip().endswith("done"), output
    read = "import json; from accounts.models import UsageDay as U; print(json.dumps(list("
    read += "U.objects.order_by('provider', 'role_id').values_list('provider', 'amount'))))"
    rows = json.loads(manage("shell", "--verbosity", "0", "-c", read, env=database))
    assert sorted(map(tuple, rows)) == [
        ("a", 0.5 * 16 * 12),
        ("a", 0.5 * 16 * 13),
        ("b", 3.0 * 16 * 12),
        ("b", 3.0 * 16 * 13),
    ]


# --- /api/usage -------------------------------------------------------------------------


def usage(client, **query):
    return client.get("/api/usage", {name.rstrip("_"): value for name, value in query.items()})


def test_nothing_was_used_yet(client):
    today = datetime.now(UTC).date()
    assert data(usage(client)) == {
        "first": f"{today.replace(day=1)}",
        "last": f"{today}",
        "list": [],
        "has_more": False,
        "amounts": {},
        "cost": None,
        "month": {
            budget: {"spent": 0, "limit": None} for budget in ("characters", "seconds", "tokens")
        },
    }


def test_sums_by_day_provider_role_and_key(client, li, du):
    key, _raw = services.key_create(user=li, name="x")
    today = datetime.now(UTC).date()
    since = f"{today - timedelta(days=3)}"
    add(li, {CHARACTERS: 10}, role_id=5, days_ago=2)
    add(li, {CHARACTERS: 1, SECONDS: 0.1}, role_id=5)
    add(li, {("local", "characters"): 100, SECONDS: 0.2}, role_id=7, key=key)
    add(li, {CHARACTERS: 1000})
    add(du, {CHARACTERS: 5555})
    by_day = data(usage(client, from_=since))
    assert by_day["list"] == [
        {"day": f"{today - timedelta(days=2)}", "amounts": {"characters": 10}, "cost": None},
        {"day": f"{today}", "amounts": {"characters": 1101, "seconds": 0.3}, "cost": None},
    ]
    assert by_day["amounts"] == {"characters": 1111, "seconds": 0.3}
    by_provider = data(usage(client, from_=since, group="provider"))
    assert by_provider["list"] == [
        {"provider": "local", "amounts": {"characters": 100}, "cost": None},
        {"provider": "openai", "amounts": {"characters": 1011, "seconds": 0.3}, "cost": None},
    ]
    by_role = data(usage(client, from_=since, group="role"))
    assert [(item["role_id"], item["amounts"]["characters"]) for item in by_role["list"]] == [
        (7, 100),
        (5, 11),
        (None, 1000),
    ]
    by_key = data(usage(client, from_=since, group="key"))
    assert [(item["key_id"], item["amounts"]["characters"]) for item in by_key["list"]] == [
        (key.pk, 100),
        (None, 1011),
    ]
    for answer in (by_provider, by_role, by_key):
        assert answer["amounts"] == by_day["amounts"]


def test_both_ends_are_included(client, li):
    for days_ago in range(1, 6):
        add(li, {CHARACTERS: 10**days_ago}, days_ago=days_ago)
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=4), today - timedelta(days=2)
    answer = data(usage(client, from_=f"{first}", to=f"{last}"))
    assert (answer["first"], answer["last"]) == (f"{first}", f"{last}")
    assert answer["amounts"] == {"characters": 10**4 + 10**3 + 10**2}
    alone = data(usage(client, to=f"{last}"))
    assert (alone["first"], alone["last"]) == (f"{last.replace(day=1)}", f"{last}")


def test_prices_make_costs(client, li, settings):
    settings.USAGE_PRICES = {"openai:characters": 0.5, "openai:seconds": 2.0, "qiniu:seconds": 9.0}
    add(li, {CHARACTERS: 10, SECONDS: 0.25, ("local", "characters"): 1000})
    answer = data(usage(client, group="provider"))
    assert [(item["provider"], item["cost"]) for item in answer["list"]] == [
        ("local", 0),
        ("openai", 5.5),
    ]
    assert answer["cost"] == 5.5


def test_the_month_and_its_limits_are_told(client, li, settings):
    settings.USER_MONTHLY_CHARACTERS = 500
    settings.USER_MONTHLY_TOKENS = 700
    User.objects.filter(pk=li.pk).update(monthly_tokens=0, monthly_seconds=60)
    add(li, {CHARACTERS: 20, ("openai", "prompt_tokens"): 3, ("openai", "completion_tokens"): 4})
    assert data(usage(client))["month"] == {
        "characters": {"spent": 20, "limit": 500},
        "seconds": {"spent": 0, "limit": 60},
        "tokens": {"spent": 7, "limit": None},
    }


def test_no_more_items_than_so_many(client, li, monkeypatch):
    monkeypatch.setattr(selectors, "USAGE_ITEMS", 2)
    for role_id in (1, 2, 3):
        add(li, {CHARACTERS: 1}, role_id=role_id)
    answer = data(usage(client, group="role"))
    assert [item["role_id"] for item in answer["list"]] == [3, 2]
    assert answer["has_more"]
    assert answer["amounts"] == {"characters": 3}


DATE = "必须是 YYYY-MM-DD 形式的日期"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"from": "yesterday"}, f"from{DATE}"),
        ({"from": ""}, f"from{DATE}"),
        ({"from": "2026-02-30"}, f"from{DATE}"),
        ({"from": "2026-1-1"}, f"from{DATE}"),
        ({"from": "20260101"}, f"from{DATE}"),
        ({"from": "２０２６-01-01"}, f"from{DATE}"),
        ({"from": "2026-01-01T00:00:00Z"}, f"from{DATE}"),
        ({"to": "0000-01-01"}, f"to{DATE}"),
        ({"to": "\x00"}, f"to{DATE}"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from 不能晚于 to"),
        ({"from": "2025-01-01", "to": "2026-01-02"}, "from 与 to 最多相隔 366 天"),
        ({"from": "0001-01-01"}, "from 与 to 最多相隔 366 天"),
        ({"group": "user"}, "group必须是 day、provider、role、key 之一"),
        ({"group": ""}, "group必须是 day、provider、role、key 之一"),
    ],
)
def test_bad_queries(client, query, expected):
    assert message(client.get("/api/usage", query), 400) == f"参数错误: {expected}"


def test_the_first_and_the_last_year_are_days_too(client):
    assert data(usage(client, to="0001-01-01"))["list"] == []
    assert data(usage(client, from_="9999-12-31"))["last"] == "9999-12-31"


def test_usage_wants_a_token():
    assert message(APIClient().get("/api/usage"), 401) == "用户未认证"


def test_more_rows_cost_no_more_queries(client, li):
    def queries():
        month_sums.clear()
        with CaptureQueriesContext(connection) as captured:
            data(usage(client, group="role"))
        return len(captured)

    add(li, {CHARACTERS: 1}, role_id=1)
    queries()
    before = queries()
    for role_id in range(2, 30):
        add(li, {CHARACTERS: 1, SECONDS: 1}, role_id=role_id)
    assert queries() == before


# --- Quotas -----------------------------------------------------------------------------


def spent(credential, *budgets):
    with pytest.raises(QuotaSpent) as raised:
        quotas.check(credential, budgets or tuple(quotas.BUDGETS))
    return raised.value


def test_by_default_there_is_no_end(li):
    add(li, {CHARACTERS: 10**12})
    quotas.check(Credential(li))


def test_the_request_after_the_last_of_a_budget_is_refused(li, settings):
    settings.USER_MONTHLY_CHARACTERS = 10
    asker = Credential(li)
    add(li, {CHARACTERS: 9.5})
    quotas.check(asker)
    add(li, {("local", "characters"): 0.5})
    error = spent(asker)
    assert (error.budget, error.limit) == ("characters", 10)
    now = datetime.now(UTC)
    following = now + timedelta(seconds=error.retry_after)
    assert (following.day, following.hour, following.month) == (1, 0, now.month % 12 + 1)
    quotas.check(asker, ("seconds", "tokens"))
    assert spent(asker, "characters").budget == "characters"


def test_tokens_of_prompts_and_replies_count_together(li, settings):
    settings.USER_MONTHLY_TOKENS = 10
    add(li, {("openai", "prompt_tokens"): 6, ("openai", "completion_tokens"): 3})
    quotas.check(Credential(li))
    add(li, {("openai", "completion_tokens"): 1})
    assert spent(Credential(li)).budget == "tokens"


def test_other_months_and_other_users_do_not_count(li, du, settings):
    settings.USER_MONTHLY_SECONDS = 10
    add(li, {SECONDS: 50}, days_ago=datetime.now(UTC).day)
    add(du, {SECONDS: 50})
    quotas.check(Credential(li))
    assert spent(Credential(du)).budget == "seconds"


@pytest.mark.parametrize(("own", "passes"), [(None, False), (0, True), (20, True), (5, False)])
def test_a_user_s_own_limit_goes_before_the_setting(li, settings, own, passes):
    settings.USER_MONTHLY_CHARACTERS = 10
    li.monthly_characters = own
    add(li, {CHARACTERS: 10})
    if passes:
        quotas.check(Credential(li))
    else:
        assert spent(Credential(li)).limit == (own or 10)


def test_a_key_s_limit_bounds_what_that_key_uses(li):
    key, _raw = services.key_create(user=li, name="x", monthly_characters=10)
    other, _raw = services.key_create(user=li, name="y", monthly_characters=10)
    add(li, {CHARACTERS: 100})
    add(li, {CHARACTERS: 10}, key=other)
    quotas.check(Credential(li, key))
    assert spent(Credential(li, other)).limit == 10
    quotas.check(Credential(li))


def test_a_key_has_no_more_than_its_owner(li, settings):
    settings.USER_MONTHLY_CHARACTERS = 10
    key, _raw = services.key_create(user=li, name="x", monthly_characters=10**9)
    add(li, {CHARACTERS: 10})
    assert spent(Credential(li, key)).limit == 10


def test_sums_are_remembered_and_grow_with_what_is_written_here(li, settings):
    settings.USER_MONTHLY_CHARACTERS = 10
    asker = Credential(li)
    quotas.check(asker)
    with CaptureQueriesContext(connection) as captured:
        quotas.check(asker)
    assert len(captured) == 0
    add(li, {CHARACTERS: 10})
    with CaptureQueriesContext(connection) as captured:
        spent(asker)
    assert len(captured) == 0


def test_what_another_process_wrote_is_noticed_soon(li, settings, monkeypatch):
    settings.USER_MONTHLY_CHARACTERS = 10
    settings.RATE_LIMITS = False
    monkeypatch.setattr(quotas, "SUM_SECONDS", 0.2)
    add(li, {CHARACTERS: 1})
    quotas.check(Credential(li))
    UsageDay.objects.update(amount=10)  # as if elsewhere
    quotas.check(Credential(li))
    until = time.monotonic() + 5
    while True:
        try:
            quotas.check(Credential(li))
        except QuotaSpent:
            break
        assert time.monotonic() < until


def let_a_minute_begin() -> None:
    """Requests are counted by the minute of the clock: not over its end."""
    if (left := 60 - time.time() % 60) < 5:
        time.sleep(left + 0.05)


def refused(credential):
    with pytest.raises(RateExceeded) as raised:
        quotas.check(credential)
    return raised.value


def test_requests_of_a_user_are_counted(li, du, settings):
    settings.USER_REQUESTS_PER_MINUTE = 3
    let_a_minute_begin()
    key, _raw = services.key_create(user=li, name="x")
    for credential in (Credential(li), Credential(li, key), Credential(li)):
        quotas.check(credential)
    assert 1 <= refused(Credential(li)).retry_after <= 60
    refused(Credential(li, key))
    quotas.check(Credential(du))


def test_requests_of_a_key_are_counted(li):
    let_a_minute_begin()
    key, _raw = services.key_create(user=li, name="x", requests_per_minute=2)
    for _ in range(2):
        quotas.check(Credential(li, key))
    refused(Credential(li, key))
    quotas.check(Credential(li))


def test_a_user_s_own_rate_goes_before_the_setting(li, du, settings):
    settings.USER_REQUESTS_PER_MINUTE = 2
    let_a_minute_begin()
    li.requests_per_minute = 0
    for _ in range(5):
        quotas.check(Credential(li))
    du.requests_per_minute = 1
    quotas.check(Credential(du))
    refused(Credential(du))


def test_the_switch_turns_the_rate_off_but_not_the_budget(li, settings):
    settings.RATE_LIMITS = False
    settings.USER_REQUESTS_PER_MINUTE = 1
    settings.USER_MONTHLY_CHARACTERS = 1
    for _ in range(3):
        quotas.check(Credential(li))
    add(li, {CHARACTERS: 1})
    spent(Credential(li))


# --- Over the wire ----------------------------------------------------------------------


@pytest.mark.system
def test_who_has_used_up_the_month_is_refused_everywhere():
    """Tokens of replies are counted whoever asks, and bound the page and programs alike."""
    with start_server({"USER_MONTHLY_TOKENS": "1"}) as server:
        person = Client.register(server.base_url)
        made = person.request("POST", "/api/keys", json={"name": "x"}).json()["data"]
        role_id = person.role("诸葛亮")
        question = {"role_id": role_id, "message": "你好", "type": "text", "response_type": 0}
        with person.socket() as socket:
            assert socket.ask(question)["type"] == "text"
            used = until_used(person)
            assert used["role_id"] == role_id
            refused = socket.ask(question)
            assert refused == {"error": "本月的用量已经用完", "code": 429}
        body = {"model": f"role:{role_id}", "messages": [{"role": "user", "content": "你好"}]}
        headers = {"Authorization": f"Bearer {made['key']}"}
        answer = httpx.post(f"{server.base_url}/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "insufficient_quota"
        assert int(answer.headers["retry-after"]) > 0
        assert person.get("/api/usage")["month"]["tokens"]["limit"] == 1


@pytest.mark.system
def test_what_programs_use_is_written_to_their_keys(server):
    person = Client.register(server.base_url)
    made = person.request("POST", "/api/keys", json={"name": "x"}).json()["data"]
    role_id = person.role("诸葛亮")
    body = {"model": f"role:{role_id}", "messages": [{"role": "user", "content": "你好"}]}
    headers = {"Authorization": f"Bearer {made['key']}"}
    answer = httpx.post(f"{server.base_url}/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert until_used(person)["role_id"] == role_id
    (item,) = person.get("/api/usage?group=key")["list"]
    assert item["key_id"] == made["id"]
    told = answer.json()["usage"]
    assert item["amounts"] == {name: told[name] for name in ("completion_tokens", "prompt_tokens")}
    (key,) = person.get("/api/keys")
    assert key["spent"]["tokens"] == told["total_tokens"]
    assert key["last_used_at"]


def until_used(person):
    """What the ledger has of the one role that was talked with; it is written afterwards."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if items := person.get("/api/usage?group=role")["list"]:
            assert len(items) == 1
            return items[0]
        time.sleep(0.05)
    raise AssertionError("nothing was written")


# --- The price list ---------------------------------------------------------------------


def prices(monkeypatch, text):
    monkeypatch.setenv("USAGE_PRICES", text)
    return env.prices("USAGE_PRICES")


def test_prices_are_read(monkeypatch):
    assert prices(monkeypatch, "") == {}
    found = prices(monkeypatch, '{"openai:characters": 0.000015, "qiniu:seconds": 1}')
    assert found == {"openai:characters": 0.000015, "qiniu:seconds": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "0.5",
        "[]",
        "{",
        '{"openai": 1}',
        '{":characters": 1}',
        '{"openai:": 1}',
        '{"openai:characters": "1"}',
        '{"openai:characters": null}',
        '{"openai:characters": true}',
        '{"openai:characters": -1}',
        '{"openai:characters": NaN}',
        '{"openai:characters": Infinity}',
    ],
)
def test_wrong_prices_stop_the_start(monkeypatch, text):
    with pytest.raises(ImproperlyConfigured, match="USAGE_PRICES"):
        prices(monkeypatch, text)


def test_a_price_of_a_unit_that_nobody_counts_is_noticed(settings):
    settings.USAGE_PRICES = {"openai:characters": 1.0, "openai:tokens": 1.0, "a:b:seconds": 1.0}
    told = [warning.msg for warning in prices_name_units(None)]
    assert [text.partition(" ends")[0] for text in told] == [
        "USAGE_PRICES: openai:tokens",
        "USAGE_PRICES: a:b:seconds",
    ]
