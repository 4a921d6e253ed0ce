"""Processes of the platform, as tests start them: real ones, each with its own log.

``start_server`` gives a web process on a free port with a data directory of its own,
``start`` any other process (a worker, a Redis), ``manage`` runs a management command to
its end. Stop them, or use them as context managers; what a test leaves running is killed
when pytest ends.
"""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
# What a process takes over from ours; no setting of the developer's shell is among it.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
READY_SECONDS = 60.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(values: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: these values, and nothing of ``.env`` or the shell."""
    result = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    dotenv = ROOT / ".env"
    if dotenv.is_file():  # an empty value is the default, and wins over the file
        lines = dotenv.read_text(encoding="utf-8").splitlines()
        names = (line.removeprefix("export ").partition("=")[0].strip() for line in lines)
        result |= dict.fromkeys((name for name in names if name.isidentifier()), "")
    return (
        result | {"PYTHONUNBUFFERED": "1", "SPEECH": "off", "LOG_FORMAT": "console"} | dict(values)
    )


@dataclass
class ManagedProcess:
    """A child with its log in a file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log_path: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """All that it has written so far, standard error included."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raise with the log where it has died."""
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log()[-6000:]}")

    def wait_for(self, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Until ``ready``; raises with the log where it dies or takes too long."""
        until = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > until:
                raise AssertionError(f"{self.name} not ready:\n{self.log()[-6000:]}")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, then SIGKILL after ``seconds``; the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} ignored SIGTERM:\n{self.log()[-6000:]}") from None

    def kill(self) -> None:
        """SIGKILL to it and its children: no chance to say goodbye."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.kill()
            print(f"--- log of {self.name}\n{self.log()[-6000:]}")


@dataclass
class ServerProcess(ManagedProcess):
    """A web process.

    Attributes:
        base_url: ``http://127.0.0.1:<port>``.
        data_dir: Its DATA_DIR: database, media, secret key.
    """

    base_url: str
    data_dir: Path

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http", "ws", 1)


_APPLICATION = "config.asgi:application"
_SERVERS: dict[str, Callable[[int], list[str]]] = {
    "uvicorn": lambda port: [
        *(sys.executable, "-m", "uvicorn", _APPLICATION, "--port", str(port)),
        *("--ws", "websockets-sansio", "--ws-max-size", "33554432", "--lifespan", "on"),
        *("--ws-per-message-deflate", "false"),
        *("--no-access-log", "--no-proxy-headers", "--timeout-graceful-shutdown", "25"),
    ],
    "daphne": lambda port: [
        *(sys.executable, "-m", "daphne", "--port", str(port), "--websocket_timeout", "-1"),
        *("--websocket-max-message-size", "33554432"),
        *("--websocket-max-frame-size", "33554432", "--verbosity", "0", _APPLICATION),
    ],
}


def start(name: str, command: Sequence[str], env: Mapping[str, str]) -> ManagedProcess:
    """Start a process in a group of its own, from the repository's root.

    ``env`` is taken as it is; see ``environment``.
    """
    process, log_path = _spawn(name, command, env)
    return ManagedProcess(name, process, log_path, dict(env))


def start_server(
    env: Mapping[str, str] | None = None,
    server: str = "uvicorn",
    *,
    data_dir: Path | None = None,
    prepared: bool = True,
    seconds: float = READY_SECONDS,
) -> ServerProcess:
    """Start a web process and wait until it answers.

    Args:
        env: Settings on top of the defaults. PORT and DATA_DIR may be among them.
        server: ``uvicorn`` or ``daphne``.
        data_dir: Where it keeps its data, for a start on data of another server; else a
            new one.
        prepared: With the database migrated and the presets loaded. A new SQLite file is
            a copy of one made once a test run; another database is migrated here.
        seconds: How long it may take to answer ``/api/health``.

    Raises:
        AssertionError: It died or did not answer; the message holds its log.
    """
    given = dict(env or {})
    new = data_dir is None
    data_dir = data_dir or Path(given.get("DATA_DIR") or _temporary("data"))
    port = int(given.get("PORT") or free_port())
    values = environment(
        {
            "HOST": "127.0.0.1",
            "RATE_LIMITS": "off",
            **given,
            "PORT": str(port),
            "DATA_DIR": str(data_dir),
        }
    )
    if prepared and "DATABASE_URL" in given:
        manage("migrate", "--verbosity", "0", env=values)
        manage("load_presets", env=values)
    elif prepared and new:
        shutil.copytree(_prepared_data(), data_dir, dirs_exist_ok=True)
    process, log_path = _spawn(server, _SERVERS[server](port), values)
    base_url = f"http://127.0.0.1:{port}"
    running = ServerProcess(server, process, log_path, values, base_url, data_dir)
    try:
        running.wait_for(lambda: _answers(base_url), seconds)
    except AssertionError:
        running.kill()
        raise
    return running


def manage(*arguments: str, env: Mapping[str, str]) -> str:
    """Run a management command; its standard output. Raises with all of it on failure."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/api/health", timeout=5).status_code in (200, 503)
    except httpx.TransportError:
        return False


@functools.cache
def _prepared_data() -> Path:
    """A data directory with a migrated SQLite file and the presets, to be copied."""
    data_dir = _temporary("prepared")
    env = environment({"DATA_DIR": str(data_dir)})
    manage("migrate", "--verbosity", "0", env=env)
    manage("load_presets", env=env)
    return data_dir


@functools.cache
def _run_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="liyuan-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _temporary(kind: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=_run_folder()))


_running: list["subprocess.Popen[bytes]"] = []


def _spawn(
    name: str, command: Sequence[str], env: Mapping[str, str]
) -> tuple["subprocess.Popen[bytes]", Path]:
    log_path = _temporary("log") / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _running.append(process)
    return process, log_path


@atexit.register
def _kill_the_rest() -> None:
    for process in _running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
