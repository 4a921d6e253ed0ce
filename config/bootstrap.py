"""Makes the virtual environment and what the tests need. Standard library alone.

Runs before anything is installed:
``python3 config/bootstrap.py run|llm|dev|clients|system|audit|lock``.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Published clients of our protocol: what they need conflicts with what the platform needs.
CLIENTS = VENV / "clients"
POSTGRESQL = Path("/usr/lib/postgresql")
# What `make lock` resolves with; the order counts: the second is constrained by the first.
REQUIREMENTS = ("requirements", "requirements-llm", "requirements-dev", "requirements-clients")


class Failed(Exception):
    """Something is missing, and the message says what to do."""


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"==> {text}\n")
    sys.stdout.flush()


def call(*command: str | Path, why: str) -> None:
    """Run a command with its output shown. Raises Failed."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)  # noqa: S603
    if done.returncode:
        raise Failed(f"{why} failed: {' '.join(map(str, command))} ({done.returncode})")


def is_root_on_debian() -> bool:
    """Whether system packages can be installed here without asking anybody."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def apt_install(*packages: str) -> None:
    """Install Debian packages; their services are not started. Raises Failed."""
    say(f"installing {' '.join(packages)} (apt-get)")
    # Read by invoke-rc.d: a runlevel in which no package starts its service.
    os.environ.update(DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    call("apt-get", "update", "-qq", why="the package list")
    call("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, why="apt-get")


def has_venv() -> bool:
    """Debian splits ``ensurepip`` off into a package of its own."""
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0  # noqa: S603


def venv() -> None:
    """Create .venv where it is not there or does not work. Raises Failed."""
    works = PYTHON.exists() and not subprocess.call([PYTHON, "-c", "import pip"])  # noqa: S603
    if works:
        return
    if not has_venv():
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not is_root_on_debian():
            raise Failed(
                f"{sys.executable} comes without venv and ensurepip. "
                f"On Debian or Ubuntu: sudo apt-get install {package}"
            )
        apt_install(package)
    say(f"virtual environment in .venv (Python {sys.version.split()[0]})")
    shutil.rmtree(VENV, ignore_errors=True)
    call(sys.executable, "-m", "venv", VENV, why="the virtual environment")


def pip_install(name: str, python: Path = PYTHON) -> None:
    """Install one list of pinned requirements; pip shows its progress. Raises Failed."""
    packages = [
        line
        for line in (ROOT / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        if line[:1].isalnum()
    ]
    say(f"{len(packages)} packages of {name}.txt (some minutes the first time)")
    command: list[str | Path] = [python, "-m", "pip", "install"]
    command.append("--disable-pip-version-check")
    if sys.version_info >= (3, 13):
        # misaki declares "< 3.13"; its Chinese part, which is all that is used, is plain Python.
        command.append("--ignore-requires-python")
    call(*command, "-r", f"{name}.txt", why="pip")


def run() -> None:
    """What the platform needs to run."""
    venv()
    pip_install("requirements")
    (VENV / ".run").touch()


def llm() -> None:
    """What a language model on this machine needs on top; by choice."""
    pip_install("requirements-llm")
    (VENV / ".llm").touch()


def dev() -> None:
    """What developers need on top."""
    pip_install("requirements-dev")
    (VENV / ".dev").touch()


def clients() -> None:
    """Published realtime clients for the tests, in an environment of their own."""
    say(f"virtual environment in {CLIENTS.relative_to(ROOT)}")
    call(PYTHON, "-m", "venv", CLIENTS, why="the virtual environment of the clients")
    pip_install("requirements-clients", CLIENTS / "bin" / "python")
    (VENV / ".clients").touch()


def chinese_font() -> bool:
    """Whether pages with Chinese text can be drawn."""
    if sys.platform == "darwin":
        return True
    if shutil.which("fc-list") is None:
        return False
    found = subprocess.run(["fc-list", ":lang=zh", "family"], check=False, capture_output=True)  # noqa: S607
    return bool(found.stdout.strip())


def postgresql() -> bool:
    """Whether a cluster can be made here."""
    return bool(shutil.which("initdb") or list(POSTGRESQL.glob("*/bin/initdb")))


def chromium() -> bool:
    """Whether a browser for the page's tests is here."""
    names = ("chromium", "chromium-browser", "google-chrome")
    mac = Path("/Applications/Google Chrome.app")
    return any(shutil.which(name) for name in names) or mac.exists()


# For the tests alone: what it is, how it is recognised, its package in Debian and in Homebrew.
SYSTEM: tuple[tuple[str, Callable[[], bool], str, str], ...] = (
    ("Chromium", chromium, "chromium", "--cask google-chrome"),
    ("Redis", lambda: shutil.which("redis-server") is not None, "redis-server", "redis"),
    ("PostgreSQL", postgresql, "postgresql", "postgresql@17"),
    ("npm", lambda: shutil.which("npm") is not None, "npm", "node"),
    ("a Chinese font", chinese_font, "fonts-noto-cjk fontconfig", ""),
)


def system() -> None:
    """Servers and the browser for the tests; the platform itself needs none of them."""
    missing = [entry for entry in SYSTEM if not entry[1]()]
    if missing and is_root_on_debian():
        apt_install(*(package for entry in missing for package in entry[2].split()))
        missing = [entry for entry in SYSTEM if not entry[1]()]
    if missing:
        brew = sys.platform == "darwin"
        commands = [
            f"brew install {entry[3]}" if brew else f"sudo apt-get install {entry[2]}"
            for entry in missing
        ]
        names = ", ".join(entry[0] for entry in missing)
        raise Failed(f"the tests need {names}. Try: {' && '.join(commands)}")


def audit() -> None:
    """Known holes in the pinned versions, by the first advisory service that answers."""
    for name in REQUIREMENTS:
        if not any(_audited(name, service) for service in ("pypi", "osv")):
            raise Failed(f"no advisory service can be reached from here: {name}.txt is not audited")


def _audited(name: str, service: str) -> bool:
    """Whether the service knew every package. Raises Failed where it knows of a hole."""
    say(f"pip-audit of {name}.txt ({service})")
    options = ["--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command = [str(PYTHON), "-m", "pip_audit", *options, "-s", service, "-r", f"{name}.txt"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603
    if "Found " in done.stderr:
        raise Failed(f"{done.stdout}{name}.txt pins versions with known holes")
    if done.returncode:
        say(f"no answer: {done.stderr.strip().splitlines()[-1][:300]}")
    return done.returncode == 0


def lock() -> None:
    """Resolve requirements*.in for every platform from Python 3.11 on."""
    call(PYTHON, "-m", "pip", "install", "--quiet", "uv", why="uv")
    for name in REQUIREMENTS:
        say(f"{name}.in to {name}.txt")
        call(
            *(PYTHON, "-m", "uv", "pip", "compile", "--quiet", "--universal"),
            *("--python-version", "3.11", "--no-emit-index-url", "--no-emit-find-links"),
            *(f"{name}.in", "-o", f"{name}.txt"),
            why=f"{name}.in",
        )


STEPS = {
    "run": run,
    "llm": llm,
    "dev": dev,
    "clients": clients,
    "system": system,
    "audit": audit,
    "lock": lock,
}


def main() -> int:
    """Do the steps named on the command line, in order."""
    try:
        for step in sys.argv[1:]:
            STEPS[step]()
    except Failed as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
