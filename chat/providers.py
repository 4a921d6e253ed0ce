"""The providers of this process, built from the settings.

They hold pooled connections and models, so they belong to the event loop that uses them.
"""

import asyncio
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from chat.engine.turn import Providers
from chat.llm.registry import build_llm
from voice.asr.registry import build_recognizer
from voice.catalogue import nearest
from voice.registry import ProviderConfig
from voice.tts.registry import build_synthesizer
from voice.weights import load_manifest, missing

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Providers] = WeakKeyDictionary()
_lock = Lock()


def asr_names() -> list[str]:
    """The recognisers switched on, the preferred first: ASR_PROVIDERS, or what is at hand."""
    return settings.ASR_PROVIDERS or _at_hand(settings.ASR_BASE_URL)


def tts_names() -> list[str]:
    """The synthesisers switched on, the preferred first: TTS_PROVIDERS, or what is at hand."""
    return settings.TTS_PROVIDERS or _at_hand(settings.TTS_BASE_URL)


def _at_hand(base_url: str) -> list[str]:
    return ["openai"] * bool(base_url) + ["local"] * settings.SPEECH


def current() -> Providers:
    """The providers of the running event loop. Raises ValueError for a wrong setting."""
    loop = asyncio.get_running_loop()
    with _lock:
        if loop not in _of_loop:
            _of_loop[loop] = build()
        return _of_loop[loop]


def build() -> Providers:
    """Providers as the settings say; nothing is connected or loaded yet.

    Raises:
        ValueError: A name is unknown, or a setting that its provider needs is missing.
    """
    asr, tts = asr_names(), tts_names()
    return Providers(
        llm=build_llm(_config("LLM")),
        recognizer=build_recognizer(asr, _config("ASR")) if asr else None,
        synthesizer=build_synthesizer(tts, _config("TTS"), nearest) if tts else None,
    )


async def warm() -> None:
    """Load now what the first turn would else wait for; the local models take longest."""
    providers = current()
    for provider in (providers.llm, providers.recognizer, providers.synthesizer):
        if provider is not None:
            await provider.warm()


def _config(capability: str) -> ProviderConfig:
    return ProviderConfig(
        base_url=getattr(settings, f"{capability}_BASE_URL"),
        api_key=getattr(settings, f"{capability}_API_KEY"),
        model=getattr(settings, f"{capability}_MODEL"),
        models_dir=settings.MODELS_DIR,
    )


def describe() -> dict[str, Any]:
    """Who does what here, for ``/api/health``: names and what is missing, no secrets."""
    return {
        "llm": {
            "name": "openai" if settings.LLM_BASE_URL else "understudy",
            "offline": not settings.LLM_BASE_URL,
            "model": settings.LLM_MODEL if settings.LLM_BASE_URL else "",
        },
        "asr": _speech(asr_names(), "whisper"),
        "tts": _speech(tts_names(), "kokoro"),
    }


def _speech(names: list[str], directory: str) -> dict[str, Any]:
    lacking = [
        name
        for bundle in load_manifest()
        if bundle.directory.startswith(directory)
        for name in missing(settings.MODELS_DIR, (bundle,))
    ]
    reason = ""
    if not names:
        reason = "SPEECH is off and no server is configured"
    elif names == ["local"] and lacking:
        reason = "weights are missing: run manage.py fetch_models"
    return {"available": not reason, "names": names, "reason": reason}
