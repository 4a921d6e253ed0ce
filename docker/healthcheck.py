"""Whether the process of this container does its work: exit code 0, or 1 and the reason.

``healthcheck.py web`` (the default) asks ``/api/health``; ``healthcheck.py worker`` and
``healthcheck.py background`` ask the Celery worker of this host, through Redis.
"""

import json
import os
import platform
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

SECONDS = 5


class Unhealthy(Exception):
    """What is the matter."""


def host_header() -> str:
    """A name that ALLOWED_HOSTS lets in: the loopback address need not be among them."""
    first = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*")
    public = urlsplit(os.environ.get("PUBLIC_BASE_URL", "")).netloc
    return first or public or "127.0.0.1"


def check_web() -> None:
    """Ask the web process. Raises Unhealthy."""
    port = os.environ.get("PORT") or "8000"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/health", headers={"Host": host_header()}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{error.code} {error.read(2000).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise Unhealthy(f"no answer: {error}") from error


def check_worker(queue: str) -> None:
    """Ping the Celery worker that serves a queue on this host. Raises Unhealthy."""
    from kombu.exceptions import OperationalError

    from config.celery import app  # not for the web: it costs half a second

    name = f"{queue}-*@{platform.node()}"
    try:
        replies = app.control.broadcast(
            "ping",
            reply=True,
            limit=1,
            timeout=SECONDS,
            pattern=name,
            matcher="glob",  # type: ignore[arg-type]  # kombu knows matchers by name
        )
    except OperationalError as error:
        raise Unhealthy(f"Redis cannot be reached: {error}") from error
    if not replies:
        raise Unhealthy(f"no answer from {name}")


CHECKS: dict[str, Callable[[], None]] = {
    "web": check_web,
    "worker": lambda: check_worker("turns"),
    "background": lambda: check_worker("background"),
}


def main() -> int:
    """Run the check named on the command line."""
    role = sys.argv[1] if len(sys.argv) > 1 else "web"
    if role not in CHECKS:
        sys.stderr.write(f"unknown role {role!r}; known are {', '.join(CHECKS)}\n")
        return 2
    try:
        CHECKS[role]()
    except Unhealthy as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
