"""``manage.py load_presets``: again and again, around what the operator has changed."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from roles import presets
from roles.models import Role
from roles.presets import BadPreset, read_presets
from roles.services import presets_load, role_delete
from tests.servers.dashscope_voices import speaks
from voice import catalogue
from voice.models import Voice
from voice.services import voices_load

pytestmark = pytest.mark.django_db
CARD = Path(presets.__file__).parent / "zhugeliang.json"
VOICES = 3 + 36 + 13 + 36 + 189  # promised, local, OpenAI's, Qiniu's, DashScope's


def load(capsys, *arguments):
    call_command("load_presets", *arguments)
    return capsys.readouterr().out.splitlines()


def rows():
    return list(Role.objects.order_by("slug").values()), list(Voice.objects.values())


@pytest.fixture
def folder(tmp_path):
    """A folder with one card in it, and a function that changes the card."""
    voices_load()

    def change(**changes):
        card = json.loads(CARD.read_text(encoding="utf-8"))
        for name, value in changes.items():
            target = card["data"]
            target = target if name in target else target["extensions"]["liyuan"]
            target[name] = value
        (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
        return presets_load(presets=read_presets(tmp_path))

    return change


def test_a_second_load_changes_nothing(capsys):
    assert load(capsys) == [
        f"Voices:  {VOICES} added, 0 updated, 0 unchanged",
        "Presets: 12 added, 0 updated, 0 unchanged, 0 kept",
    ]
    before = rows()
    assert load(capsys) == [
        f"Voices:  0 added, 0 updated, {VOICES} unchanged",
        "Presets: 0 added, 0 updated, 12 unchanged, 0 kept",
    ]
    assert rows() == before


def test_every_part_of_a_card_arrives(folder):
    folder()
    data = json.loads(CARD.read_text(encoding="utf-8"))["data"]
    role = Role.objects.get(slug="zhugeliang")
    assert role.owner is None
    assert role.name == "诸葛亮"
    assert role.description == data["description"]
    assert role.personality == data["personality"]
    assert role.scenario == data["scenario"]
    assert role.greeting == data["first_mes"]
    assert role.example_dialogue == data["mes_example"]
    assert role.alternate_greetings == data["alternate_greetings"]
    assert role.lorebook == data["character_book"]
    assert role.tags == data["tags"]
    assert role.portrait == "/static/portraits/zhugeliang.svg"
    liyuan = data["extensions"]["liyuan"]
    for name in ("language", "gender", "age", "voice_type", "tagline", "moods", "colors", "sort"):
        assert getattr(role, name) == liyuan[name]


def test_the_list_begins_with_the_preset_that_sorts_first(capsys):
    load(capsys)
    assert Role.objects.first().slug == "zhugeliang"


def test_a_new_version_of_a_card_arrives(folder):
    folder()
    loaded = folder(tagline="新的一句", age=54)
    assert loaded.updated == ["zhugeliang"]
    role = Role.objects.get()
    assert (role.tagline, role.age) == ("新的一句", 54)
    assert folder(tagline="新的一句", age=54).unchanged == ["zhugeliang"]


def test_what_the_operator_changed_stays_and_the_rest_follows_the_card(folder):
    folder()
    Role.objects.update(tagline="本馆的诸葛亮", tags=["本馆"])
    loaded = folder(tagline="新的一句", age=54)
    assert (loaded.kept, loaded.updated) == (["zhugeliang"], [])
    role = Role.objects.get()
    assert (role.tagline, role.tags, role.age) == ("本馆的诸葛亮", ["本馆"], 54)
    assert folder(tagline="又一句", age=54).kept == ["zhugeliang"]
    assert Role.objects.get().tagline == "本馆的诸葛亮"


def test_a_change_taken_back_follows_the_card_again(folder):
    folder()
    original = Role.objects.get().tagline
    Role.objects.update(tagline="本馆的诸葛亮")
    folder(tagline="新的一句")
    Role.objects.update(tagline=original)
    folder(tagline="新的一句")
    assert Role.objects.get().tagline == "新的一句"


def test_reset_takes_the_files_word(capsys):
    load(capsys)
    before = rows()
    Role.objects.filter(slug="zhugeliang").update(name="孔明", tags=[])
    role_delete(role=Role.objects.get(slug="sunwukong"))
    Voice.objects.filter(voice_type="kokoro_zf_xiaoxiao").update(voice_name="甲", enabled=False)
    assert "2 kept" in load(capsys)[1]
    assert Role.objects.get(slug="zhugeliang").name == "孔明"
    assert load(capsys, "--reset") == [
        f"Voices:  0 added, 1 updated, {VOICES - 1} unchanged",
        "Presets: 0 added, 2 updated, 10 unchanged, 0 kept",
    ]
    after = rows()
    assert after[1] == before[1]
    for new, old in zip(after[0], before[0], strict=True):
        assert {**new, "updated_at": None} == {**old, "updated_at": None}


def test_a_deleted_preset_stays_deleted(capsys):
    load(capsys)
    role_delete(role=Role.objects.get(slug="sunwukong"))
    assert load(capsys)[1:] == [
        "Presets: 0 added, 0 updated, 11 unchanged, 1 kept",
        "Kept as the operator changed them: sunwukong. See --reset.",
    ]
    assert not Role.objects.present().filter(slug="sunwukong").exists()


def test_the_operator_s_names_order_and_choice_of_voices_stay():
    voices_load()
    Voice.objects.filter(voice_type="kokoro_af_sky").update(
        voice_name="天", enabled=False, sort=1, provider_voice="wrong", sample_url="/wrong.mp3"
    )
    Voice.objects.create(voice_type="own", voice_name="own", provider="openai")
    Voice.objects.filter(voice_type="kokoro_am_adam").delete()
    loaded = voices_load()
    assert (loaded.added, loaded.updated, loaded.unchanged) == (1, 1, VOICES - 2)
    sky = Voice.objects.get(voice_type="kokoro_af_sky")
    assert (sky.voice_name, sky.enabled, sky.sort) == ("天", False, 1)
    assert sky.provider_voice == "af_sky"
    assert sky.sample_url == "/static/voices/kokoro_af_sky.mp3"
    assert Voice.objects.filter(voice_type="own").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "亮"}, "zhugeliang"),
        ({"description": "短"}, "zhugeliang"),
        ({"age": 121}, "zhugeliang"),
        ({"gender": "male"}, "zhugeliang"),
        ({"language": "fr"}, "zhugeliang"),
        ({"voice_type": "nobody"}, "no voice is called 'nobody'"),
    ],
)
def test_a_card_that_breaks_the_rules_is_refused_whole(folder, changes, reason):
    with pytest.raises(BadPreset, match=reason):
        folder(**changes)
    assert not Role.objects.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "bad.json: "),
        ("[]", "bad.json: "),
        ("{}", "bad.json: 'spec' is missing"),
        ('{"spec": "chara_card_v2"}', "bad.json: spec is 'chara_card_v2'"),
        ('{"spec": "chara_card_v3", "data": {"extensions": {}}}', "'liyuan' is missing"),
    ],
)
def test_a_file_that_is_no_card_is_named(tmp_path, text, reason):
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadPreset, match=reason):
        list(read_presets(tmp_path))


def test_a_bad_file_stops_the_command_with_nothing_loaded(monkeypatch, tmp_path):
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(read_presets, "__defaults__", (tmp_path,))
    with pytest.raises(CommandError, match=r"bad\.json"):
        call_command("load_presets")
    assert not Voice.objects.exists()


def test_the_delivered_catalogue_is_whole():
    entries = catalogue.delivered()
    assert len({entry.voice_type for entry in entries}) == len(entries) == VOICES
    assert len({entry.voice_name for entry in entries}) == VOICES
    assert len({(entry.provider, entry.provider_voice) for entry in entries}) == VOICES
    by_type = {entry.voice_type: entry for entry in entries}
    assert [entry.sort for entry in entries] == sorted(entry.sort for entry in entries)
    for entry in entries:
        assert entry.language in ("zh", "en", "ja", "ko", "id", "mul")
        assert entry.gender in ("male", "female", "other")
        entry.row().full_clean()
        if entry.stand_in:
            assert by_type[entry.stand_in].gender == entry.gender
            assert by_type[entry.stand_in].provider in ("dashscope", "qiniu")
        if entry.provider == "dashscope":
            model, _, name = entry.provider_voice.partition("/")
            assert speaks(model, name)
            assert entry.voice_type in (name, f"{name}.v3-plus")
        if entry.provider == "local":
            assert entry.voice_type == f"kokoro_{entry.provider_voice}"
            assert entry.sample_url == f"/static/voices/{entry.voice_type}.mp3"
            assert entry.gender == {"f": "female", "m": "male"}[entry.provider_voice[1]]
            assert (entry.language == "zh") == entry.provider_voice.startswith("z")
