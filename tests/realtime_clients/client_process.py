"""A published client in a process of its own, told over its standard input what to do.

The process reads one JSON object a line, ``{"scenario": …, "arguments": {…}}``, and
answers each with one: ``{"result": …}``, or ``{"failed": "the trace"}``.
"""

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.node import node_packages
from tests.processes import ROOT

SCRIPTS = Path(__file__).parent / "scripts"
PYTHON = ROOT / ".venv" / "clients" / "bin" / "python"
START_SECONDS = 60.0


class ClientProcess:
    """One that runs; see ``python_client`` and ``node_client``."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self._name, self._process, self._log = name, process, log
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def perform(self, scenario: str, /, seconds: float = 60.0, **arguments: Any) -> Any:
        """Let it do something; what it tells of it. Raises where it fails or takes too long."""
        assert self._process.stdin is not None
        order = {"scenario": scenario, "arguments": arguments}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"{self._name} is stuck in {scenario}:\n{self.log()}") from None
        if not line:
            raise AssertionError(f"{self._name} died in {scenario}:\n{self.log()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise AssertionError(f"{self._name}: {answer['failed']}\n{self.log()}")
        return answer["result"]

    def log(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-6000:]

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _running(name: str, command: list[str], env: Mapping[str, str]) -> Iterator[ClientProcess]:
    kept = {each: os.environ[each] for each in ("PATH", "HOME", "LANG") if each in os.environ}
    with tempfile.TemporaryDirectory(prefix="liyuan-client-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        client = ClientProcess(name, process, log)
        try:
            assert client.perform("ready", seconds=START_SECONDS) == "ready"
            yield client
        finally:
            client.stop()


@contextmanager
def python_client(script: str, **env: str) -> Iterator[ClientProcess]:
    """One of the scripts in the environment of the clients."""
    if not PYTHON.exists():
        pytest.fail("the published clients are not installed: make test does it")
    with _running(script, [str(PYTHON), str(SCRIPTS / script)], env) as client:
        yield client


@contextmanager
def node_client(script: str, **env: str) -> Iterator[ClientProcess]:
    """One of the scripts in Node; it finds the packages beside its copy."""
    packages = node_packages()
    with tempfile.TemporaryDirectory(prefix="scripts-", dir=packages.parent) as folder:
        for path in SCRIPTS.glob("*.mjs"):
            shutil.copy(path, folder)
        with _running(script, ["node", str(Path(folder) / script)], env) as client:
            yield client
