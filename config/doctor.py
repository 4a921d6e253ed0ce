"""What ``manage.py doctor`` looks at. Each look gives lines; none of them changes anything."""

import asyncio
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import httpx
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis
from redis.exceptions import RedisError

from chat import providers, runtime
from chat.bus.base import BusUnavailable
from config.metrics.exchange import Exchange
from config.waiting import NotReady, wait_for_services
from roles.models import Role

Verdict = Literal["ok", "note", "wrong"]

# A server that does not answer within so many seconds is not reachable.
SECONDS = 5.0
_MEGABYTE = 2**20
LOW_DISK, FULL_DISK = 1024 * _MEGABYTE, 100 * _MEGABYTE


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        what: The part that was looked at.
        verdict: ``note``: it works, but not all of it; ``wrong``: it does not.
        detail: What was seen, and what to do about it.
    """

    what: str
    verdict: Verdict
    detail: str


def python() -> Iterator[Finding]:
    """The interpreter."""
    version = sys.version.split()[0]
    yield Finding("Python", "ok" if sys.version_info >= (3, 11) else "wrong", version)


def configuration() -> Iterator[Finding]:
    """Django's system checks."""
    messages = run_checks()
    for message in messages:
        hint = f" {message.hint}" if message.hint else ""
        verdict: Verdict = "wrong" if message.level >= ERROR else "note"
        yield Finding("settings", verdict, f"{message.msg}{hint}")
    if not messages:
        mode = "embedded" if settings.EMBEDDED else "scaled"
        yield Finding("settings", "ok", f"{mode} mode, {settings.ASGI_SERVER}")


def services() -> Iterator[Finding]:
    """Database, its migrations and presets, and Redis."""
    try:
        wait_for_services(0, lambda line: None)
    except NotReady as error:
        yield Finding("services", "wrong", str(error))
        return
    if not settings.EMBEDDED:
        yield from _redis()
    try:
        executor = MigrationExecutor(connection)
        todo = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if todo:
            yield Finding(
                "database", "wrong", f"{len(todo)} migrations are missing: manage.py prepare"
            )
            return
        yield Finding("database", "ok", connection.vendor)
        presets = Role.objects.filter(owner=None).count()
    except DatabaseError as error:
        yield Finding("database", "wrong", str(error).strip())
        return
    yield Finding(
        "presets",
        "ok" if presets else "note",
        f"{presets} characters" if presets else "none: manage.py prepare",
    )


def _redis() -> Iterator[Finding]:
    try:
        with Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=SECONDS, socket_timeout=SECONDS
        ) as client:
            version = client.info("server")["redis_version"]
            policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except RedisError as error:
        yield Finding("Redis", "wrong", str(error))
        return
    if policy == "noeviction":
        yield Finding("Redis", "ok", version)
    else:
        yield Finding(
            "Redis", "wrong", f"maxmemory-policy is {policy}: queued turns could be thrown away"
        )


def workers() -> Iterator[Finding]:
    """Who runs the turns."""
    if settings.EMBEDDED or settings.TURN_RUNNER == "inline":
        yield Finding("workers", "ok", "part of the web process")
        return

    async def count() -> int:
        bus = runtime.bus()
        try:
            return len(await bus.workers())
        finally:
            await bus.aclose()

    try:
        found = asyncio.run(count())
    except BusUnavailable as error:
        yield Finding("workers", "wrong", str(error))
        return
    yield Finding(
        "workers",
        "ok" if found else "wrong",
        f"{found} for turns" if found else "none for turns: manage.py serve worker",
    )


def language_model() -> Iterator[Finding]:
    """The endpoint answers and knows the model."""
    if not settings.LLM_BASE_URL:
        yield Finding(
            "language model", "note", "the offline understudy; LLM_BASE_URL names a real one"
        )
        return
    yield _endpoint("language model", "LLM", model_matters=True)


def speech() -> Iterator[Finding]:
    """Recognition and synthesis: weights, servers."""
    state = providers.describe()
    for what, kind, prefix in (("recognition", "asr", "ASR"), ("speech", "tts", "TTS")):
        names, reason = state[kind]["names"], state[kind]["reason"]
        yield Finding(what, "note" if reason else "ok", reason or ", ".join(names))
        if "openai" in names:
            yield _endpoint(what, prefix, model_matters=False)


def _endpoint(what: str, prefix: str, *, model_matters: bool) -> Finding:
    """Ask an OpenAI-compatible server for its models; not all of them have a list."""
    base_url = getattr(settings, f"{prefix}_BASE_URL")
    key, model = getattr(settings, f"{prefix}_API_KEY"), getattr(settings, f"{prefix}_MODEL")
    try:
        answer = httpx.get(
            f"{base_url.rstrip('/')}/models",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        return Finding(what, "wrong", f"{prefix}_BASE_URL does not answer: {reason}")
    if answer.status_code in (401, 403):
        return Finding(what, "wrong", f"{prefix}_API_KEY is refused ({answer.status_code})")
    if answer.status_code >= 500:
        return Finding(what, "wrong", f"{prefix}_BASE_URL answers {answer.status_code}")
    known = _models(answer)
    if model_matters and known and model not in known:
        return Finding(what, "note", f"{model} is not in the server's list of {len(known)} models")
    return Finding(what, "ok", f"{model} at {httpx.URL(base_url).host}")


def _models(answer: httpx.Response) -> set[str]:
    try:
        return {str(entry["id"]) for entry in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return set()  # it has no list


def metrics() -> Iterator[Finding]:
    """Who may ask for ``/metrics``, and which processes tell their figures."""
    by = ", ".join(map(str, settings.METRICS_NETWORKS)) or "nobody"
    who = "by its token" if settings.METRICS_TOKEN else f"no METRICS_TOKEN: for {by} alone"
    told = ""
    if not settings.EMBEDDED:
        try:
            kinds = Counter(report.kind for report in Exchange(settings.REDIS_URL).reports())
        except RedisError as error:
            yield Finding("metrics", "wrong", str(error))
            return
        names = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        told = f"; figures of {names or 'no process'}"
    open_to_scrapers = settings.LOCAL or settings.METRICS_TOKEN
    yield Finding("metrics", "ok" if open_to_scrapers else "note", f"{who}{told}")


def storage() -> Iterator[Finding]:
    """Media can be written, read and deleted; the disk has room."""
    name = f"doctor-{uuid.uuid4().hex}.txt"
    try:
        saved = default_storage.save(name, ContentFile(b"liyuan"))
        with default_storage.open(saved) as file:
            same = file.read() == b"liyuan"
        default_storage.delete(saved)
    except Exception as error:  # whatever the storage's client raises
        yield Finding("media", "wrong", f"{type(error).__name__}: {error}")
    else:
        where = type(default_storage._wrapped).__name__  # type: ignore[attr-defined]
        yield Finding("media", "ok" if same else "wrong", where)
    free = shutil.disk_usage(settings.DATA_DIR).free
    verdict: Verdict = "wrong" if free < FULL_DISK else "note" if free < LOW_DISK else "ok"
    yield Finding("disk", verdict, f"{free / 2**30:.1f} GiB free in {settings.DATA_DIR}")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    configuration,
    services,
    workers,
    language_model,
    speech,
    metrics,
    storage,
)
