"""A small language model on loopback: llama.cpp's own OpenAI-compatible server.

As a process: ``python -m chat.llm.local_server --model FILE --port N``. It ends with its
standard input, so it never outlives whoever started it, however they end.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from voice.weights import Bundle, Report, WeightsUnavailableError, fetch, load_manifest, missing

MANIFEST = Path(__file__).parent / "local_model.json"
NAME = "local"  # the model's name in requests

# Tokens of a conversation; two conversations are answered at a time.
_CONTEXT = 4096
_PARALLEL = 2
_LOAD_SECONDS = 180.0
_LOOK_SECONDS = 0.2


class LocalModelError(Exception):
    """The server cannot be had; the message says why, and what to do."""


def is_installed() -> bool:
    """Whether the runtime is here; it comes with ``make run LLM=local`` alone."""
    return importlib.util.find_spec("xllamacpp") is not None


def model_file(models_dir: Path) -> Path | None:
    """The preferred model that is in place; None where there is none."""
    for bundle in load_manifest(MANIFEST):
        if not missing(models_dir, (bundle,)):
            return _file_of(models_dir, bundle)
    return None


def fetch_model(models_dir: Path, report: Report, *, hub: str) -> Path:
    """Bring the first model of the manifest that can be had; 1.1 GB, once.

    Raises:
        LocalModelError: None can be had.
        OSError: ``models_dir`` cannot be written.
    """
    if found := model_file(models_dir):
        return found
    reasons = []
    for bundle in load_manifest(MANIFEST):
        try:
            fetch(models_dir, report, bundles=(bundle,), hub=hub)
        except WeightsUnavailableError as error:
            reasons.append(str(error))
        else:
            return _file_of(models_dir, bundle)
    raise LocalModelError("\n".join(reasons))


def _file_of(models_dir: Path, bundle: Bundle) -> Path:
    return models_dir / bundle.directory / next(iter(bundle.files))


def start(model: Path, port: int, log: Path, waiting: Callable[[], None]) -> int:
    """Start the server for this process, and for what it becomes by ``exec``.

    Args:
        model: A GGUF file.
        port: On 127.0.0.1.
        log: Where its output goes.
        waiting: Called now and then until the model is loaded.

    Returns:
        The server's process id; it answers by now.

    Raises:
        LocalModelError: It ended, or did not answer within three minutes.
    """
    command = [sys.executable, "-m", "chat.llm.local_server"]
    command += ["--model", str(model), "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
    assert server.stdin is not None
    # Open for as long as this process lives, through exec.
    os.set_inheritable(server.stdin.fileno(), True)
    until = time.monotonic() + _LOAD_SECONDS
    while not _answers(port):
        if server.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise LocalModelError(f"the language model's server ended: {' '.join(lines)}")
        if time.monotonic() > until:
            server.kill()
            raise LocalModelError(f"the language model was not loaded in {_LOAD_SECONDS:.0f} s")
        waiting()
        time.sleep(_LOOK_SECONDS)
    return server.pid


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _serve(model: Path, port: int) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(model)
    wanted.model_alias = {NAME}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = port
    wanted.n_ctx = _CONTEXT * _PARALLEL
    wanted.n_parallel = _PARALLEL
    wanted.n_gpu_layers = 0
    wanted.ui = False
    wanted.cors_origins = ""  # no page of any browser has business here
    # Waiting threads that spin would take the cores from recognition and speech.
    wanted.cpuparams.poll = wanted.cpuparams_batch.poll = 0
    server = xllamacpp.Server(wanted)
    sys.stdout.write(f"serving {model.name} on {server.listening_address}\n")
    sys.stdout.flush()
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)  # the runtime's threads do not end by themselves


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    _serve(given.model, given.port)
