"""The admin as an operator's product: every list opens, searches and does not slow down."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services as accounts
from accounts.models import User
from roles.models import Role
from voice import catalogue
from voice.models import Voice

pytestmark = pytest.mark.django_db
OURS = ("accounts", "voice", "uploads", "roles", "chat", "token_blacklist")


@pytest.fixture
def presets():
    call_command("load_presets", verbosity=0)


@pytest.fixture
def operator():
    user = User.objects.create_superuser("operator", password="pear-garden-7")
    client = Client()
    client.force_login(user)
    return client


def changelist(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def change(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def registered():
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


@pytest.mark.parametrize("model", registered(), ids=lambda model: model.__name__)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_list_opens_and_searches(operator, presets, model, language):
    accounts.tokens_issue(user=accounts.user_register(username="li", password="pear-garden-1"))
    for query in ("", "?q=zhuge", "?q=诸葛亮 7", "?q=%27%22%3Cb%3E"):
        response = operator.get(changelist(model) + query, headers={"Accept-Language": language})
        assert response.status_code == 200
    assert admin.site._registry[model].search_fields


def test_every_model_of_ours_is_in_the_admin_or_inside_another_s_page():
    inlines = {
        inline.model for options in admin.site._registry.values() for inline in options.inlines
    }
    for label in ("accounts", "voice", "uploads", "roles", "chat"):
        for model in apps.get_app_config(label).get_models():
            assert model in admin.site._registry or model in inlines, model


def test_every_admin_is_closed_to_users(db):
    accounts.user_register(username="li", password="pear-garden-1")
    client = Client()
    client.force_login(User.objects.get(username="li"))
    for model in registered():
        assert client.get(changelist(model)).status_code == 302


@pytest.mark.parametrize(
    "path", ["roles_role", "voice_voice", "accounts_user", "token_blacklist_outstandingtoken"]
)
def test_more_rows_cost_no_more_queries(operator, path):
    def add(start):
        for number in range(start, start + 8):
            owner = accounts.user_register(username=f"user{number}", password="pear-garden-1")
            accounts.tokens_issue(user=owner)
            Voice.objects.create(voice_type=f"v{number}", voice_name="v", provider="local")
            Role.objects.create(
                owner=owner, name="冒险家", description="d" * 10, age=1, voice_type="v0"
            )

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert operator.get(reverse(f"admin:{path}_changelist")).status_code == 200
        return len(captured)

    add(0)
    queries()  # warm caches of content types
    before = queries()
    add(8)
    assert queries() == before


def test_the_hidden_token_stays_hidden(operator):
    user = accounts.user_register(username="li", password="pear-garden-1")
    refresh = accounts.tokens_issue(user=user).refresh
    row = user.outstandingtoken_set.get()
    page = operator.get(change(row))
    assert page.status_code == 200
    assert row.jti in page.text
    assert refresh not in page.text


# --- Voices -----------------------------------------------------------------------------


def test_voices_are_renamed_ordered_and_taken_off_in_the_list(operator, presets, client):
    page = operator.get(changelist(Voice))
    assert '<audio controls preload="none" src="/static/voices/kokoro_zf_xiaoxiao' in page.text
    formset = page.context["cl"].formset
    data = {f"form-{name}": value for name, value in formset.management_form.initial.items()}
    for form in formset.forms:
        row = form.instance
        data |= {
            f"{form.prefix}-id": row.pk,
            f"{form.prefix}-voice_name": row.voice_name,
            f"{form.prefix}-sort": row.sort,
        }
        if row.enabled:
            data[f"{form.prefix}-enabled"] = "on"
    first = formset.forms[0].prefix
    assert formset.forms[0].instance.voice_type == "qiniu_zh_female_wwxkjx"
    data |= {f"{first}-voice_name": "柔声", f"{first}-sort": "5000", "_save": "Save"}
    del data[f"{formset.forms[1].prefix}-enabled"]
    assert client.get("/api/voiceTypes").json()["data"][0]["voice_name"] == "温柔女声"
    assert operator.post(changelist(Voice), data).status_code == 302
    # pytest's transaction never commits, where the snapshot would be dropped.
    catalogue.forget()
    voices = client.get("/api/voiceTypes").json()["data"]
    assert voices[-1]["voice_name"] == "柔声"
    assert "qiniu_zh_male_wwxkjx" not in {voice["voice_type"] for voice in voices}


def test_an_address_of_a_sample_is_a_web_address(operator, presets):
    row = Voice.objects.get(voice_type="kokoro_af_sky")
    values = {
        name: getattr(row, name)
        for name in ("voice_name", "category", "language", "gender", "provider", "sort")
    } | {"provider_voice": row.provider_voice, "enabled": "on"}
    for bad in ("javascript:alert(1)", "//evil.example/x.mp3", "x.mp3"):
        page = operator.post(change(row), values | {"sample_url": bad})
        assert page.status_code == 200
        assert page.context["adminform"].form.errors["sample_url"]
    assert operator.post(change(row), values | {"sample_url": "/x.mp3"}).status_code == 302
    row.refresh_from_db()
    assert (row.sample_url, row.voice_type) == ("/x.mp3", "kokoro_af_sky")


def rows(operator, query=""):
    return {
        row.voice_type for row in operator.get(changelist(Voice) + query).context["cl"].queryset
    }


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("?served=yes", 3 + 36 + 13 - 3),
        ("?served=no", 277 - 49),
        ("?provider=dashscope", 189),
        ("?provider=dashscope&language=ja", 7),
        ("?enabled__exact=0", 2 + 8),
        ("?q=longxiaochun", 3),
        ("?q=粤语", 5),
        ("?q=有声书", 22),
    ],
)
def test_voices_are_found_by_who_has_them_and_what_they_are(
    operator, presets, settings, query, number
):
    settings.TTS_PROVIDERS = ["openai", "local"]
    assert len(rows(operator, query)) == number


def test_the_list_says_who_is_heard_and_plays_them(operator, presets, settings):
    settings.TTS_PROVIDERS = ["dashscope"]
    options = admin.site._registry[Voice]
    heard = {row.voice_type: row for row in Voice.objects.all()}
    assert options.heard(heard["longanyang"]) == "自己"
    assert options.heard(heard["alloy"]) == "龙小淳 知性积极女 v2"
    assert options.heard(heard["kokoro_zm_yunxi"]) == "龙安洋 阳光大男孩"
    players = {name: options.player(row) for name, row in heard.items()}
    assert re.search(r'src="/samples/[0-9a-f]{32}\.mp3"', players["longanyang"])
    assert (
        players["alloy"].partition(" aria")[0] == players["longxiaochun_v2"].partition(" aria")[0]
    )
    assert 'src="/static/voices/kokoro_zm_yunxi.mp3"' in players["kokoro_zm_yunxi"]
    assert players["longanyang.v3-plus"] == "-"  # taken off: nothing is made for it


def test_an_operator_adds_a_voice(operator, presets, client, settings):
    settings.TTS_PROVIDERS = ["openai"]
    settings.TTS_VOICE = "af_sky+af_bella"
    add = reverse("admin:voice_voice_add")
    assert "Echo" not in operator.get(add).text
    values = {"voice_type": "duet", "voice_name": "二重唱", "category": "英文", "language": "en"}
    values |= {"gender": "female", "provider": "openai", "provider_voice": "af_sky+af_bella"}
    values |= {"sample_url": "", "stand_in": "", "enabled": "on", "sort": "1"}
    response = operator.post(add, values)
    assert response.status_code == 302, response.context["adminform"].form.errors
    catalogue.forget()
    first = client.get("/api/voiceTypes").json()["data"][0]
    assert (first["voice_type"], first["voice_name"]) == ("duet", "二重唱")
    assert re.fullmatch(r"http://testserver/samples/[0-9a-f]{32}\.mp3", first["sample_url"])


def test_many_voices_are_switched_at_once(operator, presets, client, settings):
    settings.TTS_PROVIDERS = ["dashscope"]
    plus = Voice.objects.filter(provider_voice__startswith="cosyvoice-v3-plus/")
    for action, enabled in (("switch_on", True), ("switch_off", False)):
        data = {"action": action, "_selected_action": [row.pk for row in plus]}
        page = operator.post(changelist(Voice), data, follow=True)
        assert "已更改 2 个声音" in page.text
        assert set(plus.values_list("enabled", flat=True)) == {enabled}
        catalogue.forget()  # pytest's transaction never commits
        offered = {v["voice_type"] for v in client.get("/api/voiceTypes").json()["data"]}
        assert ({"longanyang.v3-plus", "longanhuan.v3-plus"} <= offered) == enabled


@pytest.mark.parametrize(
    ("stand_in", "taken"), [("", True), ("longmiao_v2", True), ("nobody", False), ("alloy", False)]
)
def test_a_stand_in_is_another_voice(operator, presets, stand_in, taken):
    row = Voice.objects.get(voice_type="alloy")
    names = ("voice_name", "category", "language", "gender", "provider", "provider_voice", "sort")
    values = {name: getattr(row, name) for name in names}
    values |= {"sample_url": "", "stand_in": stand_in, "enabled": "on"}
    page = operator.post(change(row), values)
    assert page.status_code == (302 if taken else 200)
    if not taken:
        assert page.context["adminform"].form.errors["stand_in"] == ["须为另一声音的标识符"]


# --- Roles ------------------------------------------------------------------------------

FORM = {
    "name": "新预设",
    "description": "一个只在测试里活着的角色，话不多。",
    "gender": "女",
    "age": "40",
    "voice_type": "kokoro_zf_xiaoxiao",
    "language": "zh",
    "tagline": "",
    "personality": "",
    "scenario": "",
    "greeting": "",
    "example_dialogue": "",
    "alternate_greetings": "[]",
    "lorebook": "{}",
    "tags": '["测试"]',
    "moods": "[]",
    "colors": "{}",
    "portrait": "",
    "sort": "50",
    "owner": "",
    "slug": "xinyushe",
}


def test_an_operator_writes_a_preset(operator, presets):
    add = reverse("admin:roles_role_add")
    assert operator.get(add).status_code == 200
    response = operator.post(add, FORM)
    assert response.status_code == 302, response.context["adminform"].form.errors
    role = Role.objects.get(slug="xinyushe")
    assert role.is_preset
    assert role.tags == ["测试"]
    # The slug is for good.
    assert operator.post(change(role), FORM | {"slug": "other", "age": "41"}).status_code == 302
    role.refresh_from_db()
    assert (role.slug, role.age) == ("xinyushe", 41)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "新"),
        ("name", "新\x07预设"),
        ("description", "短"),
        ("description", "长" * 20_001),
        ("age", "121"),
        ("age", "-1"),
        ("age", "x"),
        ("gender", "male"),
        ("voice_type", "nobody"),
        ("voice_type", ""),
        ("greeting", "好" * 2001),
        ("tags", '"历史"'),
        ("tags", "[1]"),
        ("tags", "not json"),
        ("moods", "{}"),
        ("alternate_greetings", "[1]"),
        ("colors", '{"accent": 1}'),
        ("lorebook", "[]"),
        ("portrait", "https://evil.example/x.svg"),
        ("portrait", "//evil.example/x.svg"),
        ("slug", "zhugeliang"),
        ("slug", "no spaces"),
    ],
)
def test_the_operator_s_form_has_the_rules_of_the_api(operator, presets, field, value):
    page = operator.post(reverse("admin:roles_role_add"), FORM | {field: value})
    assert page.status_code == 200
    assert page.context["adminform"].form.errors.get(field), page.context["adminform"].form.errors
    assert not Role.objects.filter(slug="xinyushe").exists()


def test_the_voice_is_chosen_among_those_on_offer(operator, presets):
    Voice.objects.filter(voice_type="kokoro_zm_yunjian").update(enabled=False)
    role = Role.objects.get(slug="zhugeliang")
    page = operator.get(change(role)).text
    assert '<optgroup label="中文">' in page
    assert '<option value="kokoro_zm_yunyang">' in page
    # Its own voice was taken off the list: still there to keep.
    assert '<option value="kokoro_zm_yunjian" selected>' in page
    assert (
        '<option value="kokoro_zm_yunjian"'
        not in operator.get(reverse("admin:roles_role_add")).text
    )


def test_deleting_hides_and_restoring_brings_back(operator, presets):
    role = Role.objects.get(slug="zhugeliang")
    delete = reverse("admin:roles_role_delete", args=[role.pk])
    assert operator.get(delete).status_code == 200
    assert operator.post(delete, {"post": "yes"}).status_code == 302
    role.refresh_from_db()
    assert role.deleted_at is not None
    assert f"/admin/roles/role/{role.pk}/" not in operator.get(changelist(Role)).text
    shown = operator.get(changelist(Role) + "?deleted=yes").text
    assert f"/admin/roles/role/{role.pk}/" in shown
    data = {"action": "restore", "_selected_action": [role.pk]}
    assert operator.post(changelist(Role) + "?deleted=yes", data).status_code == 302
    role.refresh_from_db()
    assert role.deleted_at is None


def test_deleting_many_hides_many(operator, presets):
    ids = list(Role.objects.values_list("pk", flat=True))[:3]
    data = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    assert operator.post(changelist(Role), data).status_code == 302
    assert Role.objects.exclude(deleted_at=None).count() == 3
    assert Role.objects.count() == 12


@pytest.mark.parametrize(("query", "number"), [("?preset=yes", 12), ("?preset=no", 1), ("", 13)])
def test_presets_are_told_from_users_roles(operator, presets, query, number):
    owner = accounts.user_register(username="li", password="pear-garden-1")
    Role.objects.create(owner=owner, name="冒险家", description="d" * 10, age=1, voice_type="v")
    assert operator.get(changelist(Role) + query).context["cl"].result_count == number


def test_who_may_only_look_sees_a_role(presets):
    user = User.objects.create_user("viewer", password="pear-garden-7", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_role"))
    client = Client()
    client.force_login(user)
    role = Role.objects.get(slug="zhugeliang")
    assert client.get(change(role)).status_code == 200
    assert client.post(change(role), FORM).status_code == 403
