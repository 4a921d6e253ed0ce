"""Chinese stands in the code; the English catalogue keeps up with it."""

import gettext
import re

import polib
import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from config.management.commands import update_translations
from config.management.commands.update_translations import catalogue_path, marked_texts

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[a-z]|%%")


def entries():
    return list(polib.pofile(str(catalogue_path())))


def test_every_text_of_the_code_is_in_english():
    call_command("update_translations", "--check")
    assert {entry.msgid for entry in entries()} == set(marked_texts())


def test_the_compiled_catalogue_is_the_readable_one():
    with catalogue_path().with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in entries():
        assert compiled.gettext(entry.msgid) == entry.msgstr


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.msgid[:20])
def test_a_translation_takes_the_same_values(entry):
    assert sorted(PLACEHOLDER.findall(entry.msgstr)) == sorted(PLACEHOLDER.findall(entry.msgid))
    assert entry.msgstr.isascii() or entry.msgid == "简体中文"


def test_a_text_without_english_is_named(monkeypatch, tmp_path):
    path = tmp_path / "django.po"
    path.write_bytes(catalogue_path().read_bytes())
    path.with_suffix(".mo").write_bytes(catalogue_path().with_suffix(".mo").read_bytes())
    monkeypatch.setattr(update_translations, "catalogue_path", lambda: path)
    texts = marked_texts() | {"没人翻译过的话": ["roles/api.py"]}
    monkeypatch.setattr(update_translations, "marked_texts", lambda: texts)
    with pytest.raises(CommandError, match="not up to date"):
        call_command("update_translations", "--check")
    with pytest.raises(CommandError, match="没人翻译过的话"):
        call_command("update_translations")
    assert polib.pofile(str(path)).find("没人翻译过的话").msgstr == ""


@pytest.mark.parametrize(("language", "name"), [("en", "age"), ("zh-hans", "年龄")])
def test_the_active_language_decides(language, name):
    with translation.override(language):
        assert translation.gettext("年龄") == name
