"""``manage.py update_translations``: the English words for the Chinese ones in the code.

Chinese stands in the code, so English is the one catalogue. In place of ``makemessages``
and ``compilemessages``, whose gettext programs not every machine has.
"""

import ast
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

_ROOMS = ("accounts", "voice", "uploads", "roles", "chat", "config")
_MARKS = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop"})


def catalogue_path() -> Path:
    """The English catalogue; its compiled form stands beside it."""
    return Path(settings.BASE_DIR) / "locale/en/LC_MESSAGES/django.po"


def marked_texts() -> dict[str, list[str]]:
    """Every text marked for translation, with the files that it stands in."""
    found: dict[str, list[str]] = {}
    base = Path(settings.BASE_DIR)
    for room in _ROOMS:
        for path in sorted((base / room).rglob("*.py")):
            name = path.relative_to(base).as_posix()
            for text in _texts(ast.parse(path.read_text(encoding="utf-8")), name):
                if name not in found.setdefault(text, []):
                    found[text].append(name)
    return found


def _texts(tree: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in _MARKS:
            continue
        match node.args:
            case [ast.Constant(value=str(text))]:
                yield text
            case [ast.Name() | ast.Subscript() | ast.Attribute()]:
                pass  # looked up among texts that gettext_noop has marked
            case _:
                raise CommandError(f"{name}:{node.lineno}: not one literal text")


class Command(BaseCommand):
    help = "Gather the texts of the code into locale/en, and compile it. Needs polib."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail where something would change"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        import polib  # of the development requirements

        path = catalogue_path()
        known = {entry.msgid: entry.msgstr for entry in polib.pofile(str(path))}
        fresh = polib.POFile(wrapwidth=100)
        fresh.metadata = {
            "Language": "en",
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=UTF-8",
            "Content-Transfer-Encoding": "8bit",
        }
        for text, files in marked_texts().items():
            flags = ["python-format"] if "%(" in text else []
            fresh.append(
                polib.POEntry(
                    msgid=text,
                    msgstr=known.get(text, ""),
                    occurrences=[(file, "") for file in files],
                    flags=flags,
                )
            )
        compiled = path.with_suffix(".mo")
        same = (
            path.read_text(encoding="utf-8") == str(fresh)
            and compiled.is_file()
            and compiled.read_bytes() == fresh.to_binary()
        )
        if check and not same:
            raise CommandError("locale/en is not up to date: manage.py update_translations")
        if not same:
            path.write_text(str(fresh), encoding="utf-8")
            compiled.write_bytes(fresh.to_binary())
        if missing := [entry.msgid for entry in fresh.untranslated_entries()]:
            listed = "\n".join(f"  {text}" for text in missing)
            raise CommandError(f"{len(missing)} texts have no English yet:\n{listed}")
        self.stdout.write(f"{len(fresh)} texts, all of them in English")
