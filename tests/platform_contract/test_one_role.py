"""GET, PUT and DELETE /api/role/{role_id}."""

import pytest

from tests.platform_contract.speaking import ITEM, MORE, Person, ok, refused

pytestmark = pytest.mark.system


def test_a_role_says_all_about_itself(bob, alice):
    role = ok(bob("GET", f"/api/role/{alice.add()}"))
    assert list(role)[:7] == ITEM
    rest = {"personality", "scenario", "greeting", "example_dialogue", "moods", "lorebook"}
    rest |= {"alternate_greetings", "updated_at", "voice_in_use", *MORE}
    assert rest == set(role) - set(ITEM)


@pytest.mark.parametrize("role_id", ["0", "99999999", "9" * 19, "9" * 60])
def test_a_role_that_is_not_there(alice, role_id):
    path = f"/api/role/{role_id}"
    refused(alice("GET", path), 404, "角色不存在")
    refused(alice("PUT", path, json={"age": 3}), 403, "角色不存在或您无权更新此角色")
    refused(alice("DELETE", path), 403, "角色不存在或您无权删除此角色")


def test_put_changes_what_it_names_and_no_more(alice):
    role_id = alice.add()
    before = ok(alice("GET", f"/api/role/{role_id}"))
    assert ok(alice("PUT", f"/api/role/{role_id}", json={"age": 35}), "角色更新成功") is None
    after = ok(alice("GET", f"/api/role/{role_id}"))
    assert after["age"] == 35
    unmoved = set(before) - {"age", "updated_at"}
    assert {name: after[name] for name in unmoved} == {name: before[name] for name in unmoved}
    whole = {"name": "魔法师", "description": "掌握古老魔法的智者，住在塔里", "gender": "女"}
    whole |= {"age": 120, "voice_type": "kokoro_zf_xiaoxiao"}
    ok(alice("PUT", f"/api/role/{role_id}", json=whole), "角色更新成功")
    assert whole.items() <= ok(alice("GET", f"/api/role/{role_id}")).items()


def test_put_of_nothing_known_changes_nothing(alice):
    role_id = alice.add()
    before = ok(alice("GET", f"/api/role/{role_id}"))
    for body in ({}, {"owner_id": 1, "id": 9, "created_at": "2020-01-01T00:00:00Z", "sort": 1}):
        ok(alice("PUT", f"/api/role/{role_id}", json=body), "角色更新成功")
    assert ok(alice("GET", f"/api/role/{role_id}")) == before


def test_the_roles_of_others_and_presets_cannot_be_written(alice, bob):
    preset = ok(bob("GET", "/api/role/list", params={"preset": "true"}))["list"][0]["id"]
    for role_id in (alice.add(), preset):
        before = ok(bob("GET", f"/api/role/{role_id}"))
        path = f"/api/role/{role_id}"
        refused(bob("PUT", path, json={"age": 1}), 403, "角色不存在或您无权更新此角色")
        refused(bob("DELETE", path), 403, "角色不存在或您无权删除此角色")
        assert ok(bob("GET", path)) == before


def test_a_deleted_role_is_gone_everywhere(http):
    person = Person(http)
    role_id, stays = person.add(), person.add()
    assert ok(person("DELETE", f"/api/role/{role_id}"), "角色删除成功") is None
    refused(person("GET", f"/api/role/{role_id}"), 404, "角色不存在")
    refused(person("DELETE", f"/api/role/{role_id}"), 403, "角色不存在或您无权删除此角色")
    refused(
        person("PUT", f"/api/role/{role_id}", json={"age": 1}),
        403,
        "角色不存在或您无权更新此角色",
    )
    data = ok(person("GET", f"/api/role/user/{person.id}"))
    assert [role["id"] for role in data["list"]] == [stays]
    listed = ok(person("GET", "/api/role/list", params={"page_size": 100}))["list"]
    assert role_id not in {role["id"] for role in listed}
