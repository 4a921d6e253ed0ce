"""How the environment is made on a machine that has Python and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT


@pytest.fixture
def clone(tmp_path) -> Path:
    """A repository of two files; nothing is to be installed from its list."""
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/bootstrap.py", tmp_path / "config")
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    return tmp_path


def bootstrap(clone: Path, *steps: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "config/bootstrap.py", *steps],
        cwd=clone,
        env={"PATH": os.environ["PATH"], "HOME": str(clone), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_environment_is_made_once_and_mended_when_broken(clone):
    code, told = bootstrap(clone, "run")
    assert code == 0, told
    assert "virtual environment in .venv" in told
    assert (clone / ".venv/.run").exists()
    python = clone / ".venv/bin/python"
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0

    code, told = bootstrap(clone, "run")
    assert code == 0
    assert "virtual environment" not in told

    # The Python it was made with is gone, as after an upgrade of the system.
    python.unlink()
    python.symlink_to("/nowhere/python3")
    code, told = bootstrap(clone, "run")
    assert code == 0
    assert "virtual environment in .venv" in told
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0


def test_the_published_clients_have_an_environment_of_their_own(clone):
    (clone / "requirements-clients.txt").write_text("# nothing\n")
    code, told = bootstrap(clone, "run", "clients")
    assert code == 0, told
    assert "virtual environment in .venv/clients" in told
    assert (clone / ".venv/.clients").exists()
    python = clone / ".venv/clients/bin/python"
    prefix = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert prefix.stdout.strip() == str(clone / ".venv/clients")


def test_a_python_without_venv_says_what_to_install(clone):
    """As Debian ships it. Without apt-get at hand nothing is tried."""
    (clone / "ensurepip.py").write_text("raise ImportError\n")
    code, told = bootstrap(clone, "run", PATH="/nowhere", PYTHONPATH=str(clone))
    assert code == 1
    assert f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in told
    assert not (clone / ".venv/.run").exists()


def test_missing_programs_for_the_tests_are_named(clone):
    code, told = bootstrap(clone, "system", PATH="/nowhere")
    assert code == 1
    for name, package in (("Chromium", "chromium"), ("Redis", "redis-server")):
        assert name in told
        assert package in told


def test_a_list_that_cannot_be_installed_fails(clone):
    (clone / "requirements.txt").write_text("liyuan-has-no-such-package==0.0.0\n")
    code, told = bootstrap(clone, "run", PIP_NO_INDEX="1")
    assert code == 1
    assert "pip failed" in told
    assert not (clone / ".venv/.run").exists()
