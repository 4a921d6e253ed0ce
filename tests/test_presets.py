"""The preset characters are data: these tests hold them to the card's format and our rules."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRESETS = sorted((ROOT / "roles" / "presets").glob("*.json"))
PORTRAITS = ROOT / "static" / "portraits"
PICTURES = sorted([*PORTRAITS.glob("*.svg"), *(ROOT / "static" / "icons").glob("*.svg")])

TEXTS = {
    "name", "nickname", "description", "personality", "scenario", "first_mes", "mes_example",
    "creator_notes", "system_prompt", "post_history_instructions", "creator", "character_version",
}  # fmt: skip
LISTS = {"alternate_greetings", "tags", "group_only_greetings"}
HAN = re.compile(r"[\u4e00-\u9fff]")
MACRO = re.compile(r"\{\{(.*?)\}\}")


@pytest.fixture(params=PRESETS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def data(path: Path) -> dict[str, Any]:
    card = json.loads(path.read_text(encoding="utf-8"))
    assert (card["spec"], card["spec_version"]) == ("chara_card_v3", "3.0")
    return card["data"]


@pytest.fixture
def liyuan(data: dict[str, Any]) -> dict[str, Any]:
    return data["extensions"]["liyuan"]


def spoken(data: dict[str, Any]) -> list[str]:
    return [data["first_mes"], *data["alternate_greetings"]]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_there_are_twelve_and_zhuge_liang_comes_first() -> None:
    cards = [json.loads(p.read_text(encoding="utf-8"))["data"] for p in PRESETS]
    order = sorted((c["extensions"]["liyuan"] for c in cards), key=lambda own: own["sort"])
    assert len(cards) == 12
    assert order[0]["slug"] == "zhugeliang"
    assert [own["language"] for own in order].count("zh") == 7
    for key in ("slug", "sort", "voice_type", "tagline"):
        assert len({own[key] for own in order}) == 12, f"{key} is not unique"
    assert len({c["name"] for c in cards}) == 12


def test_card_has_every_field_of_the_format(data: dict[str, Any]) -> None:
    assert all(isinstance(data[key], str) for key in TEXTS)
    assert all(isinstance(item, str) for key in LISTS for item in data[key])
    assert data["group_only_greetings"] == []
    assert (data["creator"], data["character_version"]) == ("Liyuan", "1.0")
    assert set(data["creator_notes_multilingual"]) == {"en", "zh"}
    assert data["creator_notes"] == data["creator_notes_multilingual"]["en"]
    assert len(data["tags"]) >= 3


def test_role_fields_pass_the_rules_of_the_role_api(
    data: dict[str, Any], liyuan: dict[str, Any]
) -> None:
    assert 2 <= len(data["name"]) <= 100
    assert len(data["description"]) >= 10
    assert liyuan["gender"] in {"男", "女", "其他", "未知"}
    assert type(liyuan["age"]) is int
    assert 0 <= liyuan["age"] <= 120


def test_own_fields_are_complete(path: Path, liyuan: dict[str, Any]) -> None:
    assert liyuan["slug"] == path.stem
    assert re.fullmatch(r"[a-z]+", liyuan["slug"])
    assert 5 <= len(liyuan["moods"]) == len(set(liyuan["moods"])) <= 7
    assert 0 < len(liyuan["tagline"]) <= 90


def test_voice_speaks_the_language_and_fits_the_gender(liyuan: dict[str, Any]) -> None:
    voice = re.fullmatch(r"kokoro_([abz])([fm])_[a-z]+", liyuan["voice_type"])
    assert voice, liyuan["voice_type"]
    assert voice[1] in {"zh": "z", "en": "ab"}[liyuan["language"]]
    assert voice[2] in {"男": "m", "女": "f"}.get(liyuan["gender"], "fm")


def test_accent_can_be_read_on_its_ground(liyuan: dict[str, Any]) -> None:
    accent, ground = liyuan["colors"]["accent"], liyuan["colors"]["ground"]
    assert re.fullmatch(r"#[0-9a-f]{6}", accent)
    assert re.fullmatch(r"#[0-9a-f]{6}", ground)
    dark, light = sorted((luminance(accent), luminance(ground)))
    assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2, large text and graphics


def test_text_is_in_the_language_of_the_card(data: dict[str, Any], liyuan: dict[str, Any]) -> None:
    keys = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
    texts = [data[key] for key in keys]
    texts += [*spoken(data), *(entry["content"] for entry in data["character_book"]["entries"])]
    for text in (*texts, liyuan["tagline"]):
        if liyuan["language"] == "zh":
            assert HAN.search(text), text
        else:  # a Chinese word may be quoted; the text around it may not be Chinese
            assert len(HAN.findall(text)) < 0.05 * len(text), text


def test_examples_are_whole_exchanges(data: dict[str, Any]) -> None:
    assert data["mes_example"].startswith("<START>\n")
    blocks = data["mes_example"].split("<START>\n")[1:]
    assert 4 <= len(blocks) <= 6
    for block in blocks:
        speakers = [line.partition(": ") for line in block.strip().split("\n")]
        assert [who for who, _, _ in speakers] == ["{{user}}", "{{char}}"] * (len(speakers) // 2)
        assert 2 <= len(speakers) <= 6
        assert all(words.strip() for _, _, words in speakers)


def test_greetings_differ_and_invite_an_answer(data: dict[str, Any]) -> None:
    greetings = spoken(data)
    assert len(set(greetings)) == 3
    for greeting in greetings:
        assert 40 <= len(greeting) <= 800
    assert data["first_mes"][-1] in "？?"


def test_only_the_two_names_are_macros(path: Path) -> None:
    assert set(MACRO.findall(path.read_text(encoding="utf-8"))) <= {"user", "char"}


def test_lorebook_entries_can_be_found(data: dict[str, Any]) -> None:
    entries = data["character_book"]["entries"]
    assert 5 <= len(entries) <= 8
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry["keys"]
        assert all(key == key.strip() and key for key in entry["keys"])
        assert len(entry["content"]) >= 30
        assert isinstance(entry["insertion_order"], int)
        assert entry["enabled"] is True
        assert entry["use_regex"] is False
        assert entry["constant"] is False
        assert entry["extensions"] == {}


def test_portrait_exists(path: Path) -> None:
    assert (PORTRAITS / f"{path.stem}.svg").is_file()


def test_no_portrait_without_its_character() -> None:
    assert {p.stem for p in PORTRAITS.glob("*.svg")} == {p.stem for p in PRESETS} | {"_default"}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.stem)
def test_picture_is_plain_drawing(picture: Path) -> None:
    """No scripts, handlers, text or foreign content, and nothing fetched from elsewhere."""
    source = picture.read_bytes()
    assert len(source) < 16 * 1024
    assert b"<!" not in source  # neither entities nor comments
    drawn = {"svg", "g", "use", "symbol", "path", "circle", "ellipse", "rect"}
    for element in ET.fromstring(source).iter():
        assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in drawn
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert "url(" not in value
            if name.rpartition("}")[2] == "href":
                assert value.startswith("#")


@pytest.mark.parametrize("picture", sorted(PORTRAITS.glob("*.svg")), ids=lambda p: p.stem)
def test_portraits_share_one_format(picture: Path) -> None:
    assert ET.fromstring(picture.read_bytes()).attrib["viewBox"] == "0 0 400 500"


def test_default_portrait_takes_its_colours_from_the_page() -> None:
    source = (PORTRAITS / "_default.svg").read_text(encoding="utf-8")
    for variable in ("accent", "ground", "ink", "paper"):
        assert f"var(--portrait-{variable}, #" in source
