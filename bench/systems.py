"""What is measured, as running processes: both modes of the platform, and the floor."""

import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Visitor
from bench.measure import cpu_seconds
from bench.question import PACE, question_mp3
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ManagedProcess, environment, free_port, start, start_server

WORKERS = 2


@dataclass
class System:
    """One thing that answers on sockets.

    Attributes:
        name: For the tables.
        processes: What it consists of, by name; the providers and the load are not in it.
        ws_url: Where it listens.
        base_url: The same for REST; empty for the floor.
    """

    name: str
    processes: dict[str, ManagedProcess]
    ws_url: str
    base_url: str = ""
    clients: list[Client] = field(default_factory=list)

    def cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(process.pid) for name, process in self.processes.items()}

    def visitors(self, count: int, path: str) -> list[Visitor]:
        """So many users with a socket each, who say something to a character."""
        if not self.base_url:
            return [Visitor(self.ws_url, {}, _message(path, 1, "any")) for _ in range(count)]
        while len(self.clients) < count:
            self.clients.append(Client.register(self.base_url))
        role = self.clients[0].role("诸葛亮")
        visitors = []
        for client in self.clients[:count]:
            url = client.upload(question_mp3()) if "voice" in path else ""
            message = _message(path, role, url)
            visitors.append(Visitor(self.ws_url + path, client.headers, message))
        return visitors


def _message(path: str, role: int, url: str) -> Mapping[str, object]:
    if "voice" in path:
        return {"role_id": role, "voice_url": url, "format": "mp3"}
    return {
        "role_id": role,
        "message": "你好，诸葛亮。今夜会有东风吗？",
        "type": "text",
        "response_type": 0,
        "stream": True,
    }


@contextmanager
def providers() -> Iterator[ProviderProcess]:
    """The loopback providers at the pace of the task."""
    pace = {name: getattr(PACE, name) for name in PACE.__dataclass_fields__}
    with loopback_providers(**pace) as process:
        yield process


@contextmanager
def floor(provider: ProviderProcess) -> Iterator[System]:
    """The bare asyncio server."""
    command = [sys.executable, "-m", "bench.floor", provider.base_url]
    with start("floor", command, environment({})) as process:
        process.wait_for(lambda: "ws://" in process.log())
        yield System("floor", {"server": process}, process.log().split()[0])


def _settings(provider: ProviderProcess) -> dict[str, str]:
    return {**provider.settings, "RATE_LIMITS": "off", "LOG_FORMAT": "json"}


@contextmanager
def embedded(provider: ProviderProcess, env: Mapping[str, str] | None = None) -> Iterator[System]:
    """The default mode: one process. ``env`` are further settings."""
    with start_server({**_settings(provider), **(env or {})}) as web:
        yield System("embedded", {"web": web}, web.ws_url, web.base_url)


@contextmanager
def scaled(provider: ProviderProcess, env: Mapping[str, str] | None = None) -> Iterator[System]:
    """Redis, PostgreSQL, uvicorn and two workers for turns. ``env`` are further settings."""
    with ExitStack() as stack:
        redis = stack.enter_context(_redis())
        database = stack.enter_context(_postgres())
        settings = {
            **_settings(provider),
            **(env or {}),
            "REDIS_URL": f"redis://127.0.0.1:{redis[1]}/0",
            "DATABASE_URL": f"postgresql://liyuan@127.0.0.1:{database[1]}/postgres",
        }
        web = stack.enter_context(start_server(settings))
        workers = [_worker(web.environment, number) for number in range(WORKERS)]
        for worker in workers:
            stack.enter_context(worker)
        for worker in workers:
            worker.wait_for(lambda worker=worker: " ready." in worker.log())
        processes = {"web": web, "redis": redis[0], "postgres": database[0]}
        processes |= {worker.name: worker for worker in workers}
        yield System("scaled", processes, web.ws_url, web.base_url)


def _worker(env: Mapping[str, str], number: int) -> ManagedProcess:
    return start(f"worker{number}", [sys.executable, "manage.py", "serve", "worker"], env)


@contextmanager
def _redis() -> Iterator[tuple[ManagedProcess, int]]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    with start("redis", command, environment({})) as process:
        process.wait_for(lambda: "Ready to accept connections" in process.log())
        yield process, port


@contextmanager
def _postgres() -> Iterator[tuple[ManagedProcess, int]]:
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="liyuan-bench-"))
    binaries = Path(str(shutil.which("postgres"))).resolve().parent
    account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    try:
        owner = pwd.getpwnam("postgres")
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)
        command = [binaries / "initdb", "-D", folder, "-U", "liyuan", "-A", "trust", "-N"]
        subprocess.run([*account, *command], check=True, capture_output=True)
        run = [binaries / "postgres", "-D", folder, "-p", port, "-k", folder, "-h", "127.0.0.1"]
        run += ["-c", "max_connections=200"]
        with start("postgres", [*account, *map(str, run)], environment({})) as process:
            process.wait_for(lambda: "ready to accept connections" in process.log())
            yield process, port
    finally:
        shutil.rmtree(folder, ignore_errors=True)
