"""Redis and PostgreSQL of a test's own: temporary, on free ports, stopped with it.

Servers that run on this machine already are never used.
"""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.processes import free_port

_READY_SECONDS = 30.0


class MissingServiceError(RuntimeError):
    """A server program is not installed; tests that need it fail, and say why."""


def program(name: str, pattern: str = "") -> str:
    """Path of a server program, from PATH or from where Debian puts it."""
    found = sorted(glob.glob(pattern)) if pattern else []
    path = (found[-1] if found else None) or shutil.which(name)
    if path is None:
        raise MissingServiceError(f"{name} is not installed (Debian: see `make test`)")
    return path


class Service(ABC):
    """A server process in a temporary directory; started when entered."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="liyuan-service-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """What clients are configured with."""

    @abstractmethod
    def command(self) -> list[str]:
        """What runs in the foreground."""

    account: str | None = None  # the user it runs as, where it must not be root

    def start(self) -> None:
        """Start it, again after ``stop`` or ``kill``, and wait until it listens."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.account,
            )
        until = time.monotonic() + _READY_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > until:
                log_text = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"{type(self).__name__} did not start:\n{log_text[-3000:]}")
            time.sleep(0.02)

    def ready(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, and wait."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(20)

    def kill(self) -> None:
        """End it without a goodbye."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisServer(Service):
    """Redis without persistence: what it held is gone after a stop."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            *(program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--save", "", "--appendonly", "no"),
        ]


class PostgresServer(Service):
    """A PostgreSQL cluster of its own, with an empty database ``liyuan``."""

    def __init__(self) -> None:
        super().__init__()
        # PostgreSQL refuses to run as root; Debian's package brings this account.
        self.account = "postgres" if os.geteuid() == 0 else None
        if self.account:
            owner = pwd.getpwnam(self.account)
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self._made = False

    @property
    def user(self) -> str:
        return self.account or pwd.getpwuid(os.geteuid()).pw_name

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/liyuan"

    def _program(self, name: str) -> str:
        return program(name, f"/usr/lib/postgresql/*/bin/{name}")

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self.directory, user=self.account, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")

    def start(self) -> None:
        if not self._made:
            self._run(
                *(self._program("initdb"), "--pgdata", str(self.directory / "data")),
                *("--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"),
            )
        super().start()
        if not self._made:
            self._run(
                *(self._program("createdb"), "--host", "127.0.0.1", "--port", str(self.port)),
                "liyuan",
            )
            self._made = True

    def ready(self) -> bool:
        done = subprocess.run(
            [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return done.returncode == 0

    def cut_connections(self) -> int:
        """Cut all connections that are open now; returns how many."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'liyuan' AND pid <> pg_backend_pid()"
            )
            return len(rows.fetchall())

    def stop(self, number: int = signal.SIGINT) -> None:
        """A fast shutdown: connections are cut."""
        super().stop(number)

    def command(self) -> list[str]:
        return [
            *(self._program("postgres"), "-D", str(self.directory / "data")),
            *("-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
            *("-c", f"unix_socket_directories={self.directory}", "-c", "fsync=off"),
            *("-c", "max_connections=200"),
        ]
