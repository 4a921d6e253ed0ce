"""``manage.py serve``: how every process of the platform is started, anywhere."""

import os
import socket
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from chat.llm import local_server
from config.waiting import add_wait_argument, wait_as_told

APPLICATION = "config.asgi:application"
# Turns that run when the process is asked to stop may take so long to end (seconds).
GRACE_SECONDS = 25
# A spoken message as base64, with room to spare.
SOCKET_MESSAGE_BYTES = 32 * 2**20


def web() -> list[str]:
    """uvicorn, or daphne with options of the same meaning.

    Neither believes ``X-Forwarded-For``: PROXIES says how many proxies there are, and the
    throttles count from there.
    """
    if settings.ASGI_SERVER == "daphne":
        return [
            *("daphne", "--bind", settings.HOST, "--port", str(settings.PORT)),
            *("--websocket-max-message-size", str(SOCKET_MESSAGE_BYTES)),
            *("--websocket-max-frame-size", str(SOCKET_MESSAGE_BYTES)),
            *("--websocket_timeout", "-1", "--application-close-timeout", str(GRACE_SECONDS)),
            *("--verbosity", "0", "--no-server-name", APPLICATION),
        ]
    return [
        *("config.server", APPLICATION, "--host", settings.HOST, "--port", str(settings.PORT)),
        *("--workers", str(settings.WEB_CONCURRENCY)),
        *("--ws", "websockets-sansio", "--ws-max-size", str(SOCKET_MESSAGE_BYTES)),
        # Speech does not shrink, and compressing it costs more than all else of a frame.
        *("--ws-per-message-deflate", "false"),
        *("--loop", "uvloop", "--http", "httptools", "--lifespan", "on"),
        *("--timeout-graceful-shutdown", str(GRACE_SECONDS)),
        *("--no-access-log", "--no-proxy-headers", "--no-server-header"),
    ]


def _celery(*arguments: str) -> list[str]:
    return ["celery", "--app", "config", *arguments, "--loglevel", settings.LOG_LEVEL.upper()]


def _worker(queue: str, pool: str, concurrency: int) -> list[str]:
    return _celery(
        *("worker", "--queues", queue, "--pool", pool, "--concurrency", str(concurrency)),
        *("--prefetch-multiplier", "1", "--without-gossip", "--without-mingle"),
        # The process keeps its id when it becomes celery: two on one host differ.
        *("--hostname", f"{queue}-{os.getpid()}@%h"),
    )


def worker() -> list[str]:
    """Turns: threads that wait for one shared event loop."""
    return _worker("turns", "threads", settings.TURN_CONCURRENCY)


def background() -> list[str]:
    """Summaries and housekeeping."""
    return _worker("background", "prefork", 1)


def beat() -> list[str]:
    """The clock of the periodic tasks; one of it in an installation."""
    return _celery("beat", "--schedule", str(settings.DATA_DIR / "beat-schedule"))


ROLES = {"web": web, "worker": worker, "background": background, "beat": beat}


class Command(BaseCommand):
    help = "Become one process of the platform: web, worker, background or beat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", choices=sorted(ROLES), nargs="?", default="web")
        parser.add_argument("--prepare", action="store_true", help="run `prepare` first")
        add_wait_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        role: str = options["role"]
        if role != "web" and settings.EMBEDDED:
            raise CommandError(
                f"REDIS_URL is not set: in the embedded mode the web process does the work of "
                f"{role} as well. Set REDIS_URL for processes of their own."
            )
        if role == "web":
            self._require_free_port(settings.HOST, settings.PORT, "PORT")
        wait_as_told(self, options["wait"])
        if options["prepare"]:
            call_command("prepare")
        if role == "web" and settings.EMBEDDED and settings.LLM:
            self._start_local_model()
        command = ROLES[role]()
        if role == "web":
            self._greet()
        connections.close_all()
        os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606

    def _start_local_model(self) -> None:
        """The language model of LLM=local; it ends with this process."""
        if not local_server.is_installed():
            raise CommandError("LLM=local needs its runtime: start once with make run LLM=local")
        model = local_server.model_file(settings.MODELS_DIR)
        if model is None:
            raise CommandError("the language model is missing: run manage.py fetch_llm")
        self._require_free_port("127.0.0.1", settings.LLM_PORT, "LLM_PORT")
        self.stdout.write(f"==> loading {model.name} ", ending="")
        log = settings.DATA_DIR / "llm.log"
        try:
            local_server.start(model, settings.LLM_PORT, log, self._dot)
        except local_server.LocalModelError as error:
            raise CommandError(f"{error} (all of it: {log})") from error
        self.stdout.write("")

    def _dot(self) -> None:
        self.stdout.write(".", ending="")
        self.stdout.flush()

    def _require_free_port(self, host: str, port: int, setting: str) -> None:
        """Say so now rather than after the preparations."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CommandError(
                    f"cannot listen on {host}:{port}: {error.strerror}. "
                    f"Another port: {setting}={port + 1} make run"
                ) from error

    def _greet(self) -> None:
        host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        url = settings.PUBLIC_BASE_URL or f"http://{host}:{settings.PORT}"
        mode = "embedded" if settings.EMBEDDED else "scaled"
        self.stdout.write(
            f"\n  梨园 Liyuan {settings.VERSION}: {url}/\n"
            f"  {mode} mode, {settings.ASGI_SERVER}; Ctrl+C ends it\n\n"
        )
        self.stdout.flush()
