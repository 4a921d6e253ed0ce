"""The language model on this machine: llama.cpp for real, with a model of 40 kB."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chat.llm import local_server
from chat.llm.base import Completion, Prompt, PromptMessage
from chat.llm.openai import OpenAILanguageModel
from tests import tiny_model
from tests.processes import ROOT, environment, free_port, manage
from voice.weights import load_manifest

# Starts the server as `manage.py serve web` does, then becomes another program.
_STARTER = """
import os, sys
from pathlib import Path
from chat.llm import local_server
model, port, log = sys.argv[1:]
print(local_server.start(Path(model), int(port), Path(log), lambda: None), flush=True)
os.execv("/bin/sleep", ["sleep", "600"])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(path)
    return path


@contextmanager
def started(model: Path, port: int, log: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The starter, and the process id of the server that it started."""
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(model), str(port), str(log)],
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert starter.stdout is not None
        yield starter, int(starter.stdout.readline())
    finally:
        starter.kill()
        starter.wait()
        assert starter.stdout is not None
        starter.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child that ended stays in the table until init has looked.
    return ") Z" not in Path(f"/proc/{pid}/stat").read_text()


async def test_it_speaks_the_protocol_and_ends_with_whoever_started_it(
    model: Path, tmp_path: Path
) -> None:
    port = free_port()
    with started(model, port, tmp_path / "log") as (starter, server):
        client = OpenAILanguageModel(f"http://127.0.0.1:{port}/v1", "", local_server.NAME)
        prompt = Prompt((PromptMessage("user", "今夜会有东风吗？"),))
        items = [item async for item in client.stream(prompt, max_tokens=16)]
        await client.aclose()
        completion = items[-1]
        assert isinstance(completion, Completion)
        assert completion.prompt_tokens > 0
        assert 0 < completion.completion_tokens <= 16
        answer = httpx.get(
            f"http://127.0.0.1:{port}/v1/models", headers={"Origin": "http://evil.example"}
        )
        assert answer.headers.get("Access-Control-Allow-Origin", "") == ""
        starter.send_signal(signal.SIGKILL)
        until = time.monotonic() + 20
        while is_alive(server):
            assert time.monotonic() < until, "the server outlived its starter"
            time.sleep(0.05)


def test_a_model_that_cannot_be_loaded_is_an_error_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(local_server.LocalModelError, match="server ended"):
        local_server.start(broken, free_port(), tmp_path / "log", lambda: None)


def test_without_its_weights_the_start_says_what_to_do(tmp_path: Path) -> None:
    values = {"LLM": "local", "DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    with pytest.raises(AssertionError, match=r"run manage.py fetch_llm") as failure:
        manage("serve", "web", env=environment(values))
    assert "Traceback" not in str(failure.value)


def test_the_preferred_model_that_is_there_is_taken(tmp_path: Path) -> None:
    assert local_server.model_file(tmp_path) is None
    instruct, coder = load_manifest(local_server.MANIFEST)
    for bundle in (coder, instruct):
        (name,) = bundle.files
        target = tmp_path / bundle.directory / name
        target.parent.mkdir()
        with target.open("wb") as file:
            file.truncate(bundle.files[name].size)
        assert local_server.model_file(tmp_path) == target
