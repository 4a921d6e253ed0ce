"""``/api/health``: whether the platform can do its work, and with what.

For load balancers and operators; anybody may ask, so nothing secret and no address is in it.
"""

import asyncio
import time
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views import View

from accounts.database import in_database_thread
from chat import providers, runtime
from chat.bus.base import BusUnavailable
from config.envelope import default_message, envelope

# A part that does not answer within so many seconds is down.
PATIENCE = 3.0
# Who asks more often than this gets the same answer again: everybody may ask (seconds).
FRESH = 0.5


class HealthView(View):
    """200 while turns can be run; 503 where the database, broker or every worker is away."""

    async def get(self, request: HttpRequest) -> JsonResponse:
        data = await _latest.get()
        code = 503 if data["status"] == "down" else 200
        body = envelope(code, default_message(code), data)
        return JsonResponse(body, status=code, json_dumps_params={"ensure_ascii": False})


class _Latest:
    """The newest report; while one is being made, the one before it is given out."""

    def __init__(self) -> None:
        self._report: dict[str, Any] = {}
        self._made = 0.0
        self._looking = False

    async def get(self) -> dict[str, Any]:
        fresh = self._looking or time.monotonic() - self._made < FRESH
        if not (self._report and fresh):
            self._looking = True
            try:
                self._report = await _look()
                self._made = time.monotonic()
            finally:
                self._looking = False
        return self._report


_latest = _Latest()


async def _look() -> dict[str, Any]:
    database, bus = await asyncio.gather(_database(), _bus())
    doing = await asyncio.to_thread(providers.describe)
    works = database["ok"] and bus["broker"]["ok"] and bus["worker"]["ok"]
    whole = works and doing["asr"]["available"] and doing["tts"]["available"]
    return {
        "status": "ok" if whole else "degraded" if works else "down",
        "version": settings.VERSION,
        "mode": "embedded" if settings.EMBEDDED else "scaled",
        "database": database,
        **bus,
        "providers": doing,
    }


async def _database() -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            await in_database_thread(_select_one)
    except (DatabaseError, TimeoutError):
        return {"ok": False, "ms": _since(begun)}
    return {"ok": True, "ms": _since(begun)}


def _select_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


async def _bus() -> dict[str, Any]:
    """The broker, and the workers whose beat is heard over it.

    The embedded worker, and the one of TURN_RUNNER=inline, start with their first turn at
    the latest: none of them missing is no fault.
    """
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            count = len(await runtime.bus().workers())
    except (BusUnavailable, TimeoutError):
        return {
            "broker": {"ok": False, "ms": _since(begun)},
            "worker": {"ok": False, "count": 0},
        }
    at_hand = settings.EMBEDDED or settings.TURN_RUNNER == "inline"
    return {
        "broker": {"ok": True, "ms": _since(begun)},
        "worker": {"ok": bool(count) or at_hand, "count": count},
    }


def _since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 1)
