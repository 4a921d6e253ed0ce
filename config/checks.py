"""System checks of the whole installation."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from accounts.quotas import BUDGETS
from voice.asr.registry import FACTORIES as ASR_FACTORIES
from voice.openai_servers import server_row
from voice.speech import asr_names, dashscope_config, tts_names
from voice.tts.registry import FACTORIES as TTS_FACTORIES


@register()
def embedded_parts_in_one_process(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The embedded broker and bus live in one process; more of them would not meet."""
    if settings.EMBEDDED and settings.WEB_CONCURRENCY > 1:
        return [
            Error(
                f"WEB_CONCURRENCY is {settings.WEB_CONCURRENCY} but REDIS_URL is not set.",
                hint="Set REDIS_URL, or run one web process.",
                id="liyuan.E001",
            )
        ]
    return []


@register()
def rate_limits_on(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nobody leaves the limits off by accident."""
    if not settings.RATE_LIMITS:
        return [
            Warning(
                "RATE_LIMITS is off: anybody may try passwords as fast as the network goes.",
                id="liyuan.W001",
            )
        ]
    return []


@register()
def server_can_do_realtime(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What daphne lacks is found out here, not by the programs that connect."""
    if settings.REALTIME_ENABLED and settings.ASGI_SERVER == "daphne":
        return [
            Warning(
                "daphne answers every refused handshake of /v1/realtime with an empty 403,"
                " and cannot close a socket with 1001.",
                hint="Leave ASGI_SERVER at uvicorn, or set REALTIME_ENABLED to off.",
                id="liyuan.W004",
            )
        ]
    return []


@register()
def prices_name_units(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A price of a unit that nobody counts would silently be no price."""
    known = [unit for units in BUDGETS.values() for unit in units]
    return [
        Warning(f"USAGE_PRICES: {name} ends in none of {', '.join(known)}.", id="liyuan.W003")
        for name in settings.USAGE_PRICES
        if name.partition(":")[2] not in known
    ]


@register()
def providers_can_be_built(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A missing or wrong setting of a provider is found at the start, not with a turn."""
    found: list[CheckMessage] = []
    if settings.LLM_BASE_URL and not settings.LLM_MODEL:
        found.append(Error("LLM_BASE_URL is set but LLM_MODEL is not.", id="liyuan.E002"))
    if settings.LLM_API_KEY and not settings.LLM_BASE_URL:
        text = "LLM_API_KEY is set but LLM_BASE_URL is not: the offline understudy answers."
        found.append(Warning(text, id="liyuan.W002"))
    try:
        dashscope_config()
    except ValueError as error:
        found.append(Error(f"DASHSCOPE_…: {error}.", id="liyuan.E005"))
    if not settings.QINIU_BASE_URL.startswith(("https://", "http://")):
        found.append(Error("QINIU_BASE_URL must be like https://…/v1.", id="liyuan.E005"))
    for prefix, names, known in (
        ("ASR", asr_names(), ASR_FACTORIES),
        ("TTS", tts_names(), TTS_FACTORIES),
    ):
        if unknown := [name for name in names if name not in known]:
            text = f"{prefix}_PROVIDERS: unknown {', '.join(unknown)}; known: {', '.join(known)}."
            found.append(Error(text, id="liyuan.E003"))
        if "dashscope" in names and not settings.DASHSCOPE_API_KEY:
            text = f"{prefix}_PROVIDERS names dashscope but DASHSCOPE_API_KEY is not set."
            found.append(Error(text, id="liyuan.E004"))
        if "qiniu" in names and not settings.QINIU_API_KEY:
            text = f"{prefix}_PROVIDERS names qiniu but QINIU_API_KEY is not set."
            found.append(Error(text, id="liyuan.E004"))
        if "openai" in names:
            found += _server(prefix)
        for setting in (f"{prefix}_BASE_URL", f"{prefix}_MODEL"):
            if "openai" in names and not getattr(settings, setting):
                text = f"{prefix}_PROVIDERS names openai but {setting} is not set."
                found.append(Error(text, id="liyuan.E004"))
    return found


def _server(prefix: str) -> list[CheckMessage]:
    """What the server of ``ASR`` or ``TTS`` cannot do, as far as that is known."""
    base_url = getattr(settings, f"{prefix}_BASE_URL")
    row = server_row(base_url, getattr(settings, f"{prefix}_SERVER"))
    try:
        row.require("speech" if prefix == "TTS" else "transcription")
    except ValueError as error:
        hint = f"If it is another kind of server, set {prefix}_SERVER to generic."
        return [Error(f"{prefix}_BASE_URL: {error}.", hint=hint, id="liyuan.E006")]
    voices = row.speech.voices if prefix == "TTS" and row.speech else frozenset()
    if voices and settings.TTS_VOICE not in voices:
        known = ", ".join(sorted(voices))
        text = f"TTS_VOICE is {settings.TTS_VOICE}, but {row.title} has only {known}."
        return [Error(text, id="liyuan.E007")]
    return []
