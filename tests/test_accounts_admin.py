"""Keys and the ledger as an operator sees them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.credentials import credential_of
from accounts.models import ApiKey, UsageDay, User

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = "admin:accounts_apikey_changelist"
USAGE = "admin:accounts_usageday_changelist"


@pytest.fixture
def operator() -> Client:
    user = User.objects.create_superuser("operator", password="pear-garden-7")
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def li() -> User:
    return User.objects.create_user("li", password="pear-garden-1")


def cells(page) -> list[list[str]]:
    """The rows of the table of sums."""
    part = page.text.partition('id="usage-sums"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr class=\"data-row.*?</tr>", part, re.DOTALL)
    found = [re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in found]


def test_no_page_shows_a_key_or_its_digest(operator, li):
    key, raw = services.key_create(user=li, name="手机")
    change = reverse("admin:accounts_apikey_change", args=[key.pk])
    for address in (reverse(KEYS), change):
        page = operator.get(address).text
        assert key.prefix in page
        assert raw not in page
        assert key.digest not in page
    assert operator.get(reverse("admin:accounts_apikey_add")).status_code == 403


def test_an_operator_limits_a_key_and_it_holds_at_once(operator, li):
    key, raw = services.key_create(user=li, name="手机")
    assert credential_of(raw).key.monthly_characters is None
    address = reverse("admin:accounts_apikey_change", args=[key.pk])
    fields = {"name": "手机", "monthly_characters": "500", "expires_at_0": "", "expires_at_1": ""}
    assert operator.post(address, fields).status_code == 302
    assert credential_of(raw).key.monthly_characters == 500
    key.refresh_from_db()
    assert (key.name, key.requests_per_minute, key.user) == ("手机", None, li)


def test_an_operator_revokes_keys(operator, li):
    keys = [services.key_create(user=li, name=str(number)) for number in range(3)]
    assert all(credential_of(raw) for _key, raw in keys)
    data = {"action": "revoke", "_selected_action": [key.pk for key, _raw in keys[:2]]}
    assert operator.post(reverse(KEYS), data).status_code == 302
    assert [bool(credential_of(raw)) for _key, raw in keys] == [False, False, True]
    first = ApiKey.objects.get(pk=keys[0][0].pk).revoked_at
    assert operator.post(reverse(KEYS), data).status_code == 302
    assert ApiKey.objects.get(pk=keys[0][0].pk).revoked_at == first


def test_a_key_can_be_deleted_until_it_was_used(operator, li):
    (unused, first), (used, second) = (services.key_create(user=li, name="x") for _ in range(2))
    assert credential_of(first)
    services.usage_add(
        user_id=li.pk, role_id=None, amounts={("openai", "characters"): 1}, key_id=used.pk
    )
    for key in (unused, used):
        address = reverse("admin:accounts_apikey_delete", args=[key.pk])
        operator.post(address, {"post": "yes"})
    assert list(ApiKey.objects.all()) == [used]
    assert credential_of(first) is None
    assert credential_of(second) is not None


def test_a_user_can_be_deleted_with_keys_and_ledger(operator, li):
    key, _raw = services.key_create(user=li, name="x")
    services.usage_add(
        user_id=li.pk, role_id=None, amounts={("openai", "characters"): 1}, key_id=key.pk
    )
    address = reverse("admin:accounts_user_delete", args=[li.pk])
    assert operator.post(address, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=li.pk).exists()
    assert not UsageDay.objects.exists()


@pytest.mark.parametrize(
    ("state", "names"), [("valid", "ac"), ("expired", "b"), ("revoked", "d"), ("", "abcd")]
)
def test_keys_by_their_state(operator, li, state, names):
    hour = timedelta(hours=1)
    services.key_create(user=li, name="a")
    services.key_create(user=li, name="b", expires_at=timezone.now() - hour)
    services.key_create(user=li, name="c", expires_at=timezone.now() + hour)
    services.key_revoke(key=services.key_create(user=li, name="d")[0])
    page = operator.get(reverse(KEYS), {"state": state} if state else {})
    assert sorted(key.name for key in page.context["cl"].queryset) == list(names)


def test_an_operator_gives_a_user_limits_of_their_own(operator, li):
    address = reverse("admin:accounts_user_change", args=[li.pk])
    form = operator.get(address).context["adminform"].form
    values = {name: "" if value is None else value for name, value in form.initial.items()}
    for name in ("groups", "user_permissions", "last_login", "date_joined", "password"):
        values.pop(name, None)
    joined = li.date_joined
    values |= {"date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
    values |= {"last_login_0": "", "last_login_1": "", "monthly_tokens": "0"}
    values |= {"monthly_seconds": "90", "is_active": "on", "is_staff": "", "is_superuser": ""}
    values = {name: value for name, value in values.items() if value is not False}
    response = operator.post(address, values)
    assert response.status_code == 302, response.context["adminform"].form.errors
    li.refresh_from_db()
    assert (li.monthly_characters, li.monthly_seconds, li.monthly_tokens) == (None, 90, 0)


def test_the_sums_are_those_of_what_is_listed(operator, li, settings):
    settings.USAGE_PRICES = {"openai:characters": 0.5}
    du = User.objects.create_user("du", password="pear-garden-1")
    amounts = {("openai", "characters"): 1200, ("openai", "seconds"): 1.5}
    for _ in range(2):
        services.usage_add(user_id=li.pk, role_id=None, amounts=amounts)
    services.usage_add(user_id=du.pk, role_id=None, amounts={("local", "characters"): 7})
    services.usage_add(user_id=du.pk, role_id=3, amounts={("openai", "characters"): 100})
    assert cells(operator.get(reverse(USAGE))) == [
        ["local", "characters", "7", "0.0000"],
        ["openai", "characters", "2,500", "1,250.0000"],
        ["openai", "seconds", "3", "0.0000"],
        ["合计", "", "", "1,250.0000"],
    ]
    assert cells(operator.get(reverse(USAGE), {"q": "du"})) == [
        ["local", "characters", "7", "0.0000"],
        ["openai", "characters", "100", "50.0000"],
        ["合计", "", "", "50.0000"],
    ]
    today = datetime.now(UTC).date()
    assert cells(operator.get(reverse(USAGE), {"provider": "local", "day__year": today.year})) == [
        ["local", "characters", "7", "0.0000"],
        ["合计", "", "", "0.0000"],
    ]
    assert cells(operator.get(reverse(USAGE), {"day__year": today.year - 1})) == []
    settings.USAGE_PRICES = {}
    assert cells(operator.get(reverse(USAGE), {"q": "local"})) == [
        ["local", "characters", "7", "-"]
    ]


def test_nobody_writes_the_ledger_by_hand(operator, li):
    services.usage_add(user_id=li.pk, role_id=None, amounts={("openai", "characters"): 7})
    address = reverse("admin:accounts_usageday_change", args=[UsageDay.objects.get().pk])
    assert operator.get(address).status_code == 200
    assert operator.post(address, {"amount": "1"}).status_code == 403
    assert operator.get(reverse("admin:accounts_usageday_add")).status_code == 403
    assert operator.get(reverse(USAGE), {"e": "1"}).status_code == 200
    assert operator.get(reverse(USAGE), {"nonsense": "1"}).status_code == 302


@pytest.mark.parametrize("path", [KEYS, USAGE])
def test_more_rows_cost_no_more_queries(operator, path):
    def add(start):
        for number in range(start, start + 8):
            user = User.objects.create_user(f"user{number}", password="x")
            key, _raw = services.key_create(user=user, name="x")
            services.usage_add(
                user_id=user.pk, role_id=1, amounts={("openai", "seconds"): 1}, key_id=key.pk
            )

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(reverse(path)).status_code == 200
        return len(captured)

    add(0)
    queries()
    before = queries()
    add(8)
    assert queries() == before
