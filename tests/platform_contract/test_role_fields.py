"""The fields of a role: what POST and PUT take, and what they answer to the rest."""

import pytest

from tests.platform_contract.speaking import HERO, ok, refused

pytestmark = pytest.mark.system


def test_add_answers_with_the_id_alone(alice):
    data = ok(alice("POST", "/api/role/add", json=HERO), "角色创建成功")
    assert list(data) == ["role_id"]
    assert type(data["role_id"]) is int


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "冒险"},
        {"name": "险" * 100},
        {"name": "  冒险  "},
        {"description": "一二三四五六七八九十"},
        {"description": "述" * 20_000},
        {"gender": "女"},
        {"gender": "其他"},
        {"gender": "未知"},
        {"age": 0},
        {"age": 120},
        {"name": "A👩‍🚀B"},
        {"unknown": {"nested": [1]}},
    ],
)
def test_add_takes_what_lies_on_the_edge(alice, changes):
    role_id = alice.add(**changes)
    role = ok(alice("GET", f"/api/role/{role_id}"))
    for field, value in {**HERO, **changes}.items():
        if field != "unknown":
            assert role[field] == (value.strip() if isinstance(value, str) else value)


LENGTH = "参数错误: 名称长度必须在2-100个字符之间"
DESCRIPTION = "参数错误: 描述长度必须在10-20000个字符之间"
AGE = "参数错误: 年龄必须在0-120之间"
WHOLE = "参数错误: 年龄必须是整数"
GENDER = "参数错误: 性别必须是 男、女、其他、未知 之一"
VOICE = "参数错误: 声音类型不存在"
BAD_FIELDS = [
    ("name", None, "参数错误: 名称不能为空"),
    ("name", "", "参数错误: 名称不能为空"),
    ("name", " 　", "参数错误: 名称不能为空"),
    ("name", "冒", LENGTH),
    ("name", "险" * 101, LENGTH),
    ("name", 12345, "参数错误: 名称必须是字符串"),
    ("name", True, "参数错误: 名称必须是字符串"),
    ("name", ["冒险"], "参数错误: 名称必须是字符串"),
    ("name", {"a": 1}, "参数错误: 名称必须是字符串"),
    ("name", "冒险\x00家", "参数错误: 名称含有控制字符"),
    ("name", "冒险\n家", "参数错误: 名称含有控制字符"),
    ("name", "冒险\u202e家", "参数错误: 名称含有控制字符"),
    ("description", None, "参数错误: 描述不能为空"),
    ("description", "", "参数错误: 描述不能为空"),
    ("description", "一二三四五六七八九", DESCRIPTION),
    ("description", " 一二三四五六七八九 ", DESCRIPTION),
    ("description", "述" * 20_001, DESCRIPTION),
    ("description", 1234567890123, "参数错误: 描述必须是字符串"),
    ("description", "一二三四五六七八九\x00十", "参数错误: 描述含有控制字符"),
    ("gender", None, "参数错误: 性别不能为空"),
    ("gender", "", GENDER),
    ("gender", "male", GENDER),
    ("gender", 1, GENDER),
    ("gender", ["男"], GENDER),
    ("gender", {}, GENDER),
    ("age", None, "参数错误: 年龄不能为空"),
    ("age", -1, AGE),
    ("age", 121, AGE),
    ("age", 10**30, AGE),
    ("age", "30", WHOLE),
    ("age", "", WHOLE),
    ("age", 30.5, WHOLE),
    ("age", 30.0, WHOLE),
    ("age", True, WHOLE),
    ("age", [30], WHOLE),
    ("voice_type", None, "参数错误: 声音类型不能为空"),
    ("voice_type", "", "参数错误: 声音类型不能为空"),
    ("voice_type", "nobody", VOICE),
    ("voice_type", "v" * 101, "参数错误: 声音类型不能超过100个字符"),
    ("voice_type", 7, "参数错误: 声音类型必须是字符串"),
    ("language", "fr", "参数错误: 语言必须是 zh、en 之一"),
    ("tagline", "句" * 201, "参数错误: 一句话介绍不能超过200个字符"),
    ("tagline", "两\n行", "参数错误: 一句话介绍含有控制字符"),
    ("personality", "性" * 8001, "参数错误: 性格不能超过8000个字符"),
    ("scenario", 5, "参数错误: 场景必须是字符串"),
    ("greeting", "好" * 2001, "参数错误: 开场白不能超过2000个字符"),
    ("example_dialogue", None, "参数错误: 对话示例不能为空"),
    ("tags", "历史", "参数错误: 标签必须是列表"),
    ("tags", {"0": "历史"}, "参数错误: 标签必须是列表"),
    ("tags", ["签"] * 21, "参数错误: 标签不能超过20个"),
    ("tags", ["签" * 33], "参数错误: 标签不能超过32个字符"),
    ("tags", [3], "参数错误: 标签必须是字符串"),
    ("tags", [None], "参数错误: 标签不能为空"),
    ("tags", None, "参数错误: 标签不能为空"),
]


def _shown(value):
    text = repr(value)
    return text if len(text) < 20 else f"{text[:12]}…{len(text)}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    BAD_FIELDS,
    ids=[f"{field}={_shown(value)}" for field, value, _ in BAD_FIELDS],
)
def test_a_bad_field_is_refused_and_changes_nothing(alice, bob, field, value, message):
    role_id = bob.add()
    before = ok(bob("GET", f"/api/role/{role_id}"))
    total = ok(alice("GET", "/api/role/list"))["total"]

    refused(alice("POST", "/api/role/add", json={**HERO, field: value}), 400, message)
    assert ok(alice("GET", "/api/role/list"))["total"] == total
    refused(bob("PUT", f"/api/role/{role_id}", json={field: value}), 400, message)
    assert ok(bob("GET", f"/api/role/{role_id}")) == before


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("name", "名称"),
        ("description", "描述"),
        ("gender", "性别"),
        ("age", "年龄"),
        ("voice_type", "声音类型"),
    ],
)
def test_each_of_the_five_is_required(alice, field, label):
    body = {name: value for name, value in HERO.items() if name != field}
    refused(alice("POST", "/api/role/add", json=body), 400, f"参数错误: 缺少{label}")


def test_all_that_is_wrong_is_said_at_once(alice):
    message = refused(alice("POST", "/api/role/add", json={}), 400)
    assert message == "参数错误: 缺少名称; 缺少描述; 缺少性别; 缺少年龄; 缺少声音类型"


def test_optional_fields_are_kept(alice):
    extra = {
        "language": "en",
        "tagline": "A lamp in the fog",
        "personality": "Calm.\nDry humour.",
        "scenario": "A harbour.",
        "greeting": "Evening.",
        "example_dialogue": "<START>\n{{user}}: Hello\n{{char}}: Evening.",
        "tags": ["noir", "harbour", "noir"],
    }
    role = ok(alice("GET", f"/api/role/{alice.add(**extra)}"))
    for field, value in extra.items():
        assert role[field] == (["noir", "harbour"] if field == "tags" else value)
