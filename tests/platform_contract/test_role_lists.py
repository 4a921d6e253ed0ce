"""GET /api/role/list and GET /api/role/user/{user_id}."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.platform_contract.speaking import HERO, ITEM, MORE, Person, ok, refused

pytestmark = pytest.mark.system


def test_a_page_of_roles_newest_first(alice):
    newest = [alice.add(name=f"新角色{number}") for number in range(3)][::-1]
    data = ok(alice("GET", "/api/role/list"))
    assert list(data) == ["total", "list", "page", "pages", "has_more"]
    assert data["page"] == 1
    assert len(data["list"]) == 10
    assert data["pages"] == -(-data["total"] // 10)
    assert data["has_more"] is True
    assert [role["id"] for role in data["list"][:3]] == newest
    role = data["list"][0]
    assert list(role) == ITEM + MORE
    assert {**HERO, "name": "新角色2"}.items() <= role.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", role["created_at"])
    made = datetime.fromisoformat(role["created_at"])
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=2)
    assert role["preset"] is False
    assert role["owner_id"] == alice.id


def test_walking_the_pages_shows_every_role_once(bob):
    for number in range(5):
        bob.add(name=f"同页{number}")
    total = ok(bob("GET", "/api/role/list"))["total"]
    seen = []
    for page in itertools.count(1):
        data = ok(bob("GET", "/api/role/list", params={"page": page, "page_size": 7}))
        assert data["total"] == total
        assert data["page"] == page
        seen += [role["id"] for role in data["list"]]
        if not data["has_more"]:
            assert page == data["pages"]
            break
        assert len(data["list"]) == 7
    assert len(seen) == len(set(seen)) == total


@pytest.mark.parametrize("path", ["/api/role/list", "/api/role/user/{id}"])
def test_a_page_past_the_end_is_empty(alice, path):
    alice.add()
    path = path.format(id=alice.id)
    data = ok(alice("GET", path, params={"page": 100_000, "page_size": 100}))
    assert data["list"] == []
    assert data["has_more"] is False
    assert data["page"] == 100_000
    assert data["total"] > 0


@pytest.mark.parametrize("path", ["/api/role/list", "/api/role/user/{id}"])
@pytest.mark.parametrize("name", ["page", "page_size"])
@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "abc", "", " 1", "1e3", "٣", "0x10", "9" * 40, "true"]
)
def test_a_page_that_is_no_positive_whole_number_is_400(alice, path, name, value):
    response = alice("GET", path.format(id=alice.id), params={name: value})
    refused(response, 400, f"参数错误: {name} 必须是正整数")


def test_page_size_is_at_most_100(alice):
    ok(alice("GET", "/api/role/list", params={"page_size": 100}))
    response = alice("GET", "/api/role/list", params={"page_size": 101})
    refused(response, 400, "参数错误: page_size 不能超过 100")


def test_search_looks_in_name_tagline_and_description(alice):
    word = f"Quokka{alice.id}"
    ids = {
        alice.add(name=f"the {word}"),
        alice.add(tagline=f"a {word.lower()} by the sea"),
        alice.add(description=f"somebody who once met {word}"),
    }
    alice.add(personality=f"not {word} here")
    data = ok(alice("GET", "/api/role/list", params={"search": word.upper()}))
    assert {role["id"] for role in data["list"]} == ids
    assert data["total"] == 3
    assert ok(alice("GET", "/api/role/list", params={"search": "%"}))["total"] == 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"search": "x" * 101}, "参数错误: search不能超过100个字符"),
        ({"search": "a\x00b"}, "参数错误: search含有控制字符"),
        ({"preset": "yes"}, "参数错误: preset必须是 true、false 之一"),
        ({"mine": "1"}, "参数错误: mine必须是 true、false 之一"),
    ],
)
def test_a_bad_filter_is_400(alice, params, message):
    refused(alice("GET", "/api/role/list", params=params), 400, message)


def test_filters_tell_presets_from_users_roles(http):
    person = Person(http)
    mine = person.add()
    presets = ok(person("GET", "/api/role/list", params={"preset": "true", "page_size": 100}))
    assert presets["total"] == 12
    assert presets["list"][0]["name"] == "诸葛亮"
    assert all(role["preset"] and role["owner_id"] is None for role in presets["list"])
    assert all("{{" not in role["description"] for role in presets["list"])
    others = ok(person("GET", "/api/role/list", params={"preset": "false"}))
    assert not any(role["preset"] for role in others["list"])
    own = ok(person("GET", "/api/role/list", params={"mine": "true"}))
    assert [role["id"] for role in own["list"]] == [mine]
    assert own["total"] == 1


# --- GET /api/role/user/{user_id} -------------------------------------------------------


def test_one_user_s_roles_are_theirs_alone(http, bob):
    person = Person(http)
    empty = ok(bob("GET", f"/api/role/user/{person.id}"))
    assert empty == {"total": 0, "list": [], "page": 1, "pages": 0, "has_more": False}
    ids = [person.add() for _ in range(3)][::-1]
    data = ok(bob("GET", f"/api/role/user/{person.id}", params={"page": 1, "page_size": 2}))
    assert [role["id"] for role in data["list"]] == ids[:2]
    assert list(data["list"][0]) == ITEM + MORE
    assert (data["total"], data["pages"], data["has_more"]) == (3, 2, True)


@pytest.mark.parametrize("user_id", ["0", "99999999", "9" * 18, "9" * 19, "9" * 60])
def test_roles_of_nobody_are_404(alice, user_id):
    refused(alice("GET", f"/api/role/user/{user_id}"), 404, "用户不存在")
