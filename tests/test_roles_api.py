"""Roles inside the process: what a request costs, and what it may not touch."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import User
from roles import pages
from roles.models import Role
from roles.serializers import RoleDetail, RoleItem
from roles.services import role_update
from voice import catalogue
from voice.models import Voice

pytestmark = pytest.mark.django_db
HERO = {
    "name": "冒险家",
    "description": "勇敢的冒险者，探索未知世界",
    "gender": "男",
    "age": 30,
    "voice_type": "qiniu_zh_male_wwxkjx",
}


@pytest.fixture
def presets():
    call_command("load_presets", verbosity=0)


def client_of(user):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {accounts.tokens_issue(user=user).access}")
    return client


@pytest.fixture
def user():
    return accounts.user_register(username="li", password="pear-garden-1")


@pytest.fixture
def client(user, presets):
    return client_of(user)


def add(client, **changes):
    response = client.post("/api/role/add", {**HERO, **changes}, format="json")
    assert response.status_code == 200, response.text
    return response.json()["data"]["role_id"]


def page(client, path="/api/role/list", **params):
    response = client.get(path, params)
    assert response.status_code == 200, response.text
    return response.json()["data"]


@pytest.fixture
def committing(django_capture_on_commit_callbacks):
    """The test's own transaction never commits: run what waits for it."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


# --- Cost -------------------------------------------------------------------------------


def test_a_page_costs_one_query_and_the_same_page_again_none(client, django_assert_num_queries):
    page(client)
    with django_assert_num_queries(0):
        page(client)
    with django_assert_num_queries(1):
        page(client, page=2, page_size=3)
    with django_assert_num_queries(0):
        page(client, page=1000)


def test_a_role_costs_one_query_and_a_new_one_one_insert(client, django_assert_num_queries):
    role_id = add(client)
    with django_assert_num_queries(1):
        client.get(f"/api/role/{role_id}")
    with django_assert_num_queries(1):
        add(client)


def test_more_roles_cost_no_more_queries(client, user, django_assert_num_queries):
    for _ in range(30):
        add(client)
    pages.roles_changed()
    with django_assert_num_queries(2):  # the count, and the page
        assert len(page(client, page_size=100)["list"]) == 42
    with django_assert_num_queries(2):
        assert len(page(client, f"/api/role/user/{user.pk}", page_size=100)["list"]) == 30


# --- The pages that are kept --------------------------------------------------------------


def test_every_way_of_writing_changes_the_count(client, user, committing):
    assert page(client)["total"] == 12
    with committing():
        role_id = add(client)
    assert page(client)["total"] == 13
    assert page(client, mine="true")["total"] == 1
    assert page(client, preset="true")["total"] == 12
    with committing():
        client.delete(f"/api/role/{role_id}")
    assert page(client)["total"] == 12
    assert page(client, mine="true")["total"] == 0
    with committing():
        Role.objects.get(slug="zhugeliang").delete()
    assert page(client)["total"] == 11
    other = accounts.user_register(username="du", password="pear-garden-1")
    with committing():
        add(client_of(other))
    assert page(client)["total"] == 12
    with committing():
        User.objects.get(pk=other.pk).delete()
    assert page(client)["total"] == 11


def test_counts_of_different_lists_are_not_mixed_up(client, user):
    other = accounts.user_register(username="du", password="pear-garden-1")
    add(client_of(other))
    add(client_of(other))
    add(client)
    pages.roles_changed()
    for _ in range(2):
        assert page(client)["total"] == 15
        assert page(client, preset="true")["total"] == 12
        assert page(client, preset="false")["total"] == 3
        assert page(client, mine="true")["total"] == 1
        assert page(client, mine="false")["total"] == 15
        assert page(client, mine="true", preset="true")["total"] == 0
        assert page(client, f"/api/role/user/{other.pk}")["total"] == 2
        assert page(client, search="冒险")["total"] == 3
        assert page(client, search="冒险", mine="true")["total"] == 1


def test_a_count_that_was_taken_before_a_write_is_not_kept_after_it(client, monkeypatch):
    """A reader counts; before it has kept its count, somebody else's write commits."""
    real = pages._keep

    def write_first(key, kept):
        monkeypatch.undo()
        pages.roles_changed()
        real(key, replace(kept, value=999))

    pages.roles_changed()
    monkeypatch.setattr(pages, "_keep", write_first)
    page(client)
    assert page(client)["total"] == 12


def test_what_is_kept_is_bounded(client):
    pages.roles_changed()
    for number in range(1, 1200):
        pages.Listing(("list", number), Role.objects.values, lambda row: row)[0:10]
    assert sum(kept.items for kept in pages._kept.values()) == pages._items <= 1_000


def test_a_search_is_not_kept(client):
    before = len(pages._kept)
    page(client, search="冒险")
    assert len(pages._kept) == before


# --- Rows -------------------------------------------------------------------------------


def test_rows_are_what_the_openapi_page_says(client):
    item = page(client)["list"][0]
    assert set(item) == set(RoleItem().fields)
    detail = client.get(f"/api/role/{item['id']}").json()["data"]
    assert set(detail) == set(RoleDetail().fields)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_times_are_utc_whatever_the_operator_s_zone(client, settings, zone):
    role_id = add(client)
    Role.objects.filter(pk=role_id).update(
        created_at=datetime(2025, 9, 25, 10, 30, 59, 999_999, UTC)
    )
    settings.TIME_ZONE = zone
    role = client.get(f"/api/role/{role_id}").json()["data"]
    assert role["created_at"] == "2025-09-25T10:30:59Z"
    listed = page(client, mine="true")["list"][0]
    assert listed["created_at"] == "2025-09-25T10:30:59Z"


def test_the_newest_first_presets_in_the_operator_s_order(client):
    first, second = add(client), add(client)
    Role.objects.filter(pk=first).update(created_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert [role["id"] for role in page(client)["list"][:2]] == [first, second]
    Role.objects.filter(slug="wren").update(sort=0)
    presets = page(client, preset="true", page_size=100)["list"]
    assert [role["name"] for role in presets[:2]] == ["Wren", "诸葛亮"]


def test_a_preset_reads_without_macros_and_a_user_s_role_as_written(client):
    for role in page(client, preset="true", page_size=100)["list"]:
        assert "{{" not in role["description"]
        assert role["name"] in role["description"] or role["language"] == "en"
    role_id = add(client, description="{{char}}爱{{user}}，就这么简单")
    text = client.get(f"/api/role/{role_id}").json()["data"]["description"]
    assert text == "{{char}}爱{{user}}，就这么简单"


@pytest.mark.parametrize(
    ("description", "language"),
    [("勇敢的冒险者，探索未知世界", "zh"), ("A brave adventurer of unknown lands", "en")],
)
def test_a_role_speaks_the_language_it_is_described_in(client, description, language):
    role_id = add(client, description=description)
    assert client.get(f"/api/role/{role_id}").json()["data"]["language"] == language


# --- Rights -----------------------------------------------------------------------------


def test_staff_too_edits_presets_in_the_admin_alone(presets):
    boss = User.objects.create_superuser("boss", password="pear-garden-7")
    client = client_of(boss)
    role = Role.objects.get(slug="zhugeliang")
    response = client.put(f"/api/role/{role.pk}", {"age": 1}, format="json")
    assert response.status_code == 403
    assert response.json()["message"] == "角色不存在或您无权更新此角色"
    assert client.delete(f"/api/role/{role.pk}").status_code == 403
    role.refresh_from_db()
    assert (role.age, role.deleted_at) == (53, None)


def test_a_deleted_role_keeps_its_row(client):
    role_id = add(client)
    assert client.delete(f"/api/role/{role_id}").json() == {
        "code": 200,
        "message": "角色删除成功",
        "data": None,
    }
    assert Role.objects.get(pk=role_id).deleted_at is not None


def test_a_voice_taken_off_may_stay_but_not_come_anew(client):
    role_id = add(client, voice_type="kokoro_zf_xiaoni")
    Voice.objects.filter(voice_type="kokoro_zf_xiaoni").update(enabled=False)
    catalogue.forget()
    path = f"/api/role/{role_id}"
    kept = client.put(path, {"voice_type": "kokoro_zf_xiaoni", "age": 31}, format="json")
    assert kept.status_code == 200
    refused = client.post(
        "/api/role/add", {**HERO, "voice_type": "kokoro_zf_xiaoni"}, format="json"
    )
    assert refused.json()["message"] == "参数错误: 声音类型不存在"
    client.put(path, {"voice_type": "kokoro_zf_xiaobei"}, format="json")
    again = client.put(path, {"voice_type": "kokoro_zf_xiaoni"}, format="json")
    assert again.status_code == 400


def test_two_who_change_different_fields_do_not_undo_each_other(client):
    role_id = add(client)
    stale = Role.objects.get(pk=role_id)
    client.put(f"/api/role/{role_id}", {"name": "魔法师"}, format="json")
    role_update(role=stale, age=77)
    role = Role.objects.get(pk=role_id)
    assert (role.name, role.age) == ("魔法师", 77)
