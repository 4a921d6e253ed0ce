"""Live turns as their session sees them, with all that belongs to the place they run in."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import redis

from tests.platform import ProviderProcess, loopback_providers
from tests.processes import ROOT, ManagedProcess, environment, manage, start
from tests.services import RedisServer

REPLY = "亮在此。今夜必有东风，主公请看。"
USER, KEY, CONVERSATION = 1, 1, 1
Line = list[Any]

_SEED = f"""
from accounts.models import User
from accounts.services import key_create
from chat.services import conversation_start
from roles.models import Role
alice = User.objects.create_user("alice", password="x")
assert alice.pk == {USER}
key, _raw = key_create(user=alice, name="k")
assert key.pk == {KEY}
role = Role.objects.create(name="诸葛亮", description="字孔明", gender="男", age=40, voice_type="x")
assert conversation_start(user=alice, role=role).pk == {CONVERSATION}
"""


class Session:
    """The process of ``tests.live_session``, and what it tells."""

    def __init__(self, env: dict[str, str]) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.live_session"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        self._lines: Queue[Line] = Queue()
        self._turns = 0
        Thread(target=self._read, daemon=True).start()
        self.ready = self.until(lambda line: line[2] == "ready", 40)[-1]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def logged(self) -> str:
        """All that it has logged; the process goes on writing where it was."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode()

    def call(self, turn: str, *call: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([turn, *call]) + "\n")
        self.process.stdin.flush()

    def open(self) -> "Turn":
        self._turns += 1
        name = f"t{self._turns}"
        self.call(name, "open", USER, KEY, CONVERSATION)
        return Turn(self, name)

    def until(self, wanted: Callable[[Line], bool], seconds: float = 20) -> list[Line]:
        """The lines up to the one that is wanted."""
        lines: list[Line] = []
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                log = self.logged()[-6000:]
                raise AssertionError(f"waited in vain, had {lines}\n{log}") from None
            lines.append(line)
            if wanted(line):
                return lines

    def settle(self) -> list[Line]:
        """Close all turns; what was told until all of them are accounted for."""
        self.call("", "settle")
        return self.until(lambda line: line[2] == "settled")[:-1]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


class Turn:
    """A live turn of a session."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name

    def __call__(self, *call: Any) -> None:
        self._session.call(self._name, *call)

    def until(self, what: str | tuple[str, ...], seconds: float = 20) -> list[Line]:
        """The turn's events, as (seconds, name, fields, run …), up to the first of a name."""
        ends = [what] if isinstance(what, str) else what
        lines = self._session.until(lambda line: line[1] == self._name and line[2] in ends, seconds)
        return [[line[0], *line[2:]] for line in lines if line[1] == self._name]


class Place:
    """Where the turns run, and all that belongs to it."""

    def __init__(self, runner: str, stack: ExitStack) -> None:
        self.runner = runner
        self._stack = stack
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="liyuan-live-")))
        self.database = data / "liyuan.sqlite3"
        self.providers: ProviderProcess = stack.enter_context(loopback_providers())
        settings = {
            **self.providers.settings,
            "DATA_DIR": str(data),
            "REALTIME_RUNNER": "inline" if runner == "inline" else "celery",
        }
        self.redis: RedisServer | None = None
        if runner == "scaled":
            self.redis = stack.enter_context(RedisServer())
            settings["REDIS_URL"] = self.redis.url
        self.env = environment(settings)
        manage("migrate", "--verbosity", "0", "--skip-checks", env=self.env)
        manage("shell", "-c", _SEED, env=self.env)
        self.worker: ManagedProcess | None = None
        self.sessions: list[Session] = []

    def worker_alive(self) -> None:
        """One worker, where the runner has any of its own."""
        if self.runner == "scaled" and (
            self.worker is None or self.worker.process.poll() is not None
        ):
            command = [sys.executable, "manage.py", "serve", "worker"]
            self.worker = start("worker", command, self.env)
            self._stack.push(self.worker)
            self.worker.wait_for(self.serving)

    def session(self) -> Session:
        if not self.sessions or self.sessions[-1].process.poll() is not None:
            self.sessions.append(Session(self.env))
            self._stack.callback(self.sessions[-1].stop)
        return self.sessions[-1]

    def logged(self) -> str:
        """All that the processes of the engine and of the sessions have logged."""
        worker = self.worker.log() if self.worker else ""
        return worker + "".join(session.logged() for session in self.sessions)

    def serving(self) -> bool:
        """Whether a worker shows a beat."""
        assert self.redis is not None
        with redis.Redis.from_url(self.redis.url) as client:
            return bool(client.keys("liyuan:worker:*"))

    def counts(self, endpoint: str) -> dict[str, int]:
        return self.providers.log()["counts"].get(endpoint, {})

    def ledger(self) -> dict[tuple[int, int, str], float]:
        """Amounts by (user, key, unit)."""
        with sqlite3.connect(self.database) as connection:
            rows = connection.execute(
                "SELECT user_id, key_id, unit, SUM(amount) FROM accounts_usageday GROUP BY 1, 2, 3"
            )
            return {(user, key, unit): amount for user, key, unit, amount in rows}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def words(lines: list[Line]) -> str:
    return "".join(line[2]["text"] for line in lines if line[1] == "TextReady")


def sizes(lines: list[Line]) -> list[int]:
    return [line[2]["pcm"] for line in lines if line[1] == "AudioReady"]
