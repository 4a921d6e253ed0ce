"""Packages of npm for the tests, installed once, as ``tests/javascript/package.json`` pins them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT

SCRIPTS = ROOT / "tests" / "javascript"


def node_packages() -> Path:
    """The ``node_modules`` folder; scripts that are copied beside it find the packages."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is not installed (Debian: apt-get install npm)")
    folder = ROOT / ".venv" / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (SCRIPTS / "package.json").read_text()
    if not (folder / "done").is_file() or (folder / "done").read_text() != wanted:
        shutil.copy(SCRIPTS / "package.json", folder)
        subprocess.run(
            [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=170,
        )
        (folder / "done").write_text(wanted)
    return folder / "node_modules"


def run_script(name: str, *arguments: str) -> str:
    """Run one of the scripts with Node; its standard output. Raises where it fails."""
    script = node_packages().parent / name
    shutil.copy(SCRIPTS / name, script)
    done = subprocess.run(
        ["node", str(script), *arguments], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
