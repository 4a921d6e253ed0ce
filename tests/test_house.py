"""The house rules that no linter knows."""

import ast
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import env
from config.version import read_version
from tests.processes import ROOT, environment, manage

ROOMS = ("config", "accounts", "voice", "roles", "uploads", "chat", "realtime")
READERS = {
    *("text", "boolean", "number", "integer", "choice"),
    *("words", "prices", "amounts", "networks"),
}
LINES = 400
# Whatever hides behind such a name has a better one.
NAMELESS = re.compile(r"(utils?|helpers?|managers?|misc|common)(_.*)?$|.*_(utils?|helpers?)$")


def sources() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def read_settings(path: Path) -> dict[str, str | None]:
    """Variables that a source reads, with the default as ``.env`` would say it.

    None stands for a default that depends on other settings.
    """
    found: dict[str, str | None] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "env"
            and node.func.attr in READERS
        ):
            continue
        name = ast.literal_eval(node.args[0])
        given = node.args[1:2] or [k.value for k in node.keywords if k.arg == "default"]
        found[name] = _as_text(given[0]) if given else ""
    return found


def _as_text(node: ast.expr) -> str | None:
    names = {inner for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    if names:
        return None
    value = eval(compile(ast.Expression(node), "default", "eval"))
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def example() -> dict[str, str]:
    """``.env.example``: every variable once, commented out."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = re.findall(r"^# ([A-Z_0-9]+)=(.*)$", "\n".join(lines), re.MULTILINE)
    assert len(pairs) == len(dict(pairs)), "named twice"
    return dict(pairs)


def table() -> dict[str, str]:
    """The rows of docs/settings.md."""
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| (?:`([^`]*)` )?\|", text, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "named twice"
    return dict(rows)


def test_settings_example_and_table_agree():
    read = read_settings(ROOT / "config/settings.py")
    assert len(read) > 40
    assert read.keys() == example().keys() == table().keys()
    assert example() == table()
    told = {name: value for name, value in read.items() if value is not None}
    assert told == {name: example()[name] for name in told}


def test_the_settings_file_alone_reads_the_environment():
    elsewhere = {path: read_settings(path) for path in sources() if path.name != "settings.py"}
    assert {path: names for path, names in elsewhere.items() if names} == {}


def test_the_example_uncommented_is_the_default(tmp_path, monkeypatch):
    """Every default that it shows is taken by the reader, and changes nothing."""
    dotenv = tmp_path / ".env"
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    dotenv.write_text(re.sub(r"^# ([A-Z_0-9]+=)", r"\1", text, flags=re.MULTILINE))
    for name in example():
        monkeypatch.delenv(name, raising=False)
    env.load_dotenv(dotenv)
    said = {name: os.environ.pop(name) for name in example()}
    data = {"DATA_DIR": str(tmp_path), "SPEECH": "on", "LOG_FORMAT": ""}
    command = ("diffsettings", "--all")
    plain = manage(*command, env=environment({"SPEECH": "on", **data}))
    shown = manage(*command, env=environment({**said, **data}))
    addresses = re.compile(r" at 0x[0-9a-f]+")
    assert addresses.sub("", shown) == addresses.sub("", plain)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "eighty", "PORT must be a number"),
        ("PORT", "70000", "PORT must be between"),
        ("DEBUG", "maybe", "DEBUG must be on or off"),
        ("ASGI_SERVER", "gunicorn", "ASGI_SERVER must be one of uvicorn, daphne"),
        ("SECRET_KEY", "short", "SECRET_KEY must have at least 32 characters"),
        ("HOST", "0.0.0.0", "SECRET_KEY must be set where HOST is 0.0.0.0"),
        ("PUBLIC_BASE_URL", "liyuan.example", "PUBLIC_BASE_URL must be like"),
        ("STORAGE_URL", "s3://b?bucket=c", "STORAGE_URL: unknown options bucket"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL"),
        ("SECRET_KEY_FILE", "/nowhere/key", "SECRET_KEY_FILE"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(name, value, told, tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment({"DATA_DIR": str(tmp_path), name: value}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_on_a_public_address_is_refused(tmp_path):
    values = {"HOST": "0.0.0.0", "DEBUG": "on", "SECRET_KEY": "k" * 40, "DATA_DIR": str(tmp_path)}
    with pytest.raises(AssertionError, match="DEBUG must be off"):
        manage("check", env=environment(values))


def test_several_embedded_processes_are_refused(tmp_path):
    values = {"WEB_CONCURRENCY": "2", "DATA_DIR": str(tmp_path)}
    with pytest.raises(AssertionError, match=r"liyuan\.E001"):
        manage("check", env=environment(values))


def test_files_are_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LINES
    }
    assert long == {}


def test_every_module_has_a_name_that_says_something():
    names = [path for path in sources() if NAMELESS.match(path.stem)]
    folders = [path for path in sources() if NAMELESS.match(path.parent.name)]
    assert names + folders == []


def requirement_names(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if line[:1].isalnum())
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-clients"])
def test_every_requirement_is_pinned(name):
    lock = ROOT / f"{name}.txt"
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    pinned = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^*\s;]+(\s*;.*)?$")
    assert [line for line in lines if not pinned.match(line)] == []
    assert requirement_names(ROOT / f"{name}.in") <= requirement_names(lock)


def test_the_version_is_that_of_the_changelog(tmp_path):
    assert re.fullmatch(r"\d+\.\d+\.\d+", read_version(ROOT / "CHANGELOG.md"))
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 2.10.0 (x)\n\n## 2.9.0\n")
    assert read_version(tmp_path / "CHANGELOG.md") == "2.10.0"
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    with pytest.raises(ValueError, match="no heading"):
        read_version(tmp_path / "CHANGELOG.md")


def test_commands_in_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    commands = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    commands |= {"createsuperuser", "migrate", "makemigrations", "check", "shell", "runserver"}
    for name in ("README.md", "CONTRIBUTING.md", "docs/settings.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
        assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets, name
        assert set(re.findall(r"manage\.py ([a-z_]+)", code)) <= commands, name


def test_continuous_integration_runs_the_readme_s_test_command():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    commands = [
        line
        for line in script.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test </dev/null"]
    assert "`make test`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_between_the_documents_lead_somewhere():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_decisions_are_numbered_and_complete():
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[\d+\]\((.+)\) \|", index, re.MULTILINE)
    assert listed == [record.name for record in records]
    numbers = [int(record.name[:4]) for record in records]
    assert len(numbers) == len(set(numbers)) > 10
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(record.name[:4])}. "), record.name
        for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, f"{record.name}: {part}"
