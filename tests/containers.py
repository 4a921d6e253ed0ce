"""What Docker would make of ``docker/``: the image's environment, and that of a service.

There need be no Docker here: the entry point runs as a plain process with the environment
that it would have, its addresses replaced by those of servers of the test's own.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.processes import ROOT, ManagedProcess, environment, start

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text(encoding="utf-8"))
APP_SERVICES = [
    name for name, service in COMPOSE["services"].items() if service["image"].startswith("liyuan:")
]


def _instructions() -> list[tuple[str, str]]:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.split("\n"))]


# The Dockerfile as (name, arguments), continued lines joined.
INSTRUCTIONS = _instructions()
LAST_STAGE = INSTRUCTIONS[max(n for n, (i, _) in enumerate(INSTRUCTIONS) if i == "FROM") :]
IMAGE_ENVIRONMENT = dict(
    pair.split("=", 1) for name, rest in LAST_STAGE if name == "ENV" for pair in shlex.split(rest)
)
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\?|-)([^}]*))?\}")


def copied() -> list[str]:
    """Sources of the final stage's COPY, relative to the repository."""
    return [
        source for name, rest in LAST_STAGE if name == "COPY" for source in shlex.split(rest)[:-1]
    ]


def lay_out(folder: Path) -> None:
    """The files of the image's /app, and no others."""
    for source in copied():
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)


def seconds(duration: str) -> int:
    """Compose's ``90s``."""
    assert duration.endswith("s")
    return int(duration[:-1])


def interpolated(value: str, given: Mapping[str, str]) -> str:
    """``${NAME:?message}`` and ``${NAME:-default}``, as Compose replaces them."""

    def replaced(found: "re.Match[str]") -> str:
        name, operator, rest = found.groups()
        if given.get(name):
            return given[name]
        if operator == "?":
            raise KeyError(f"{name}: {rest}")
        return rest or ""

    return _VARIABLE.sub(replaced, value)


def service_environment(
    name: str, given: Mapping[str, str], addresses: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a service's process.

    Args:
        name: The service.
        given: What the operator has set, in the shell or in ``docker/.env``.
        addresses: What stands in for ``postgres:5432`` and the like.
    """
    values = dict(IMAGE_ENVIRONMENT)
    for variable, value in COMPOSE["services"][name]["environment"].items():
        if value is not None:
            text = interpolated(value, given)
            for address, ours in addresses.items():
                text = text.replace(address, ours)
            values[variable] = text
        elif variable in given:
            values[variable] = given[variable]
    return values


def plain(values: Mapping[str, str], app: Path = ROOT) -> dict[str, str]:
    """A container's environment for a process here: our interpreter, our folder as /app."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment({"LOG_FORMAT": "", **values, "PATH": path, "PYTHONPATH": str(app)})


def start_role(role: str, values: Mapping[str, str], app: Path = ROOT) -> ManagedProcess:
    """A container, without the container."""
    return start(role, [str(app / "docker/entrypoint.sh"), role], plain(values, app))


def entrypoint(*arguments: str | Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the entry point to its end; the last argument is the environment."""
    *command, values = arguments
    assert isinstance(values, Mapping)
    return subprocess.run(
        ["docker/entrypoint.sh", *map(str, command)],
        cwd=ROOT,
        env=plain(values),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def healthcheck(role: str, values: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Ask as Docker does."""
    return subprocess.run(
        ["python", "docker/healthcheck.py", role],
        cwd=ROOT,
        env=plain(values),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
