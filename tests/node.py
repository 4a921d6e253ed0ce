"""Packages of npm for the tests, installed once, as ``tests/javascript/package.json`` pins them."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT

SCRIPTS = ROOT / "tests" / "javascript"


def node_packages() -> Path:
    """The ``node_modules`` folder; scripts that are copied beside it find the packages.

    Processes that ask at the same time install them once.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is not installed (Debian: apt-get install npm)")
    folder = ROOT / ".venv" / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm, folder)
    return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    wanted = (SCRIPTS / "package.json").read_text()
    done = folder / "done"
    if done.is_file() and done.read_text() == wanted:
        return
    shutil.copy(SCRIPTS / "package.json", folder)
    subprocess.run(
        [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=170,
    )
    done.write_text(wanted)


def run_script(name: str, *arguments: str) -> str:
    """Run one of the scripts with Node; its standard output. Raises where it fails."""
    script = node_packages().parent / name
    fresh = script.with_name(f"{name}.{os.getpid()}")
    shutil.copy(SCRIPTS / name, fresh)
    fresh.replace(script)  # another process may be reading the old one
    done = subprocess.run(
        ["node", str(script), *arguments], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
