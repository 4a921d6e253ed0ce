"""The providers of a turn: the language model, and the speech of ``voice.speech``.

They hold pooled connections and models, so they belong to the event loop that uses them.
"""

import asyncio
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from chat.engine.stages import Providers
from chat.llm.registry import build_llm
from voice import speech
from voice.openai_client import warm_client
from voice.weights import load_manifest, missing

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Providers] = WeakKeyDictionary()
_lock = Lock()


def current() -> Providers:
    """The providers of the running event loop. Raises ValueError for a wrong setting."""
    loop = asyncio.get_running_loop()
    with _lock:
        if loop not in _of_loop:
            _of_loop[loop] = _with(speech.current())
        return _of_loop[loop]


def _with(speaking: speech.Speech) -> Providers:
    return Providers(
        llm=build_llm(speech.provider_config("LLM")),
        recognizer=speaking.recognizer,
        synthesizer=speaking.synthesizer,
    )


async def warm() -> None:
    """Load now what the first turn would else wait for; the local models take longest."""
    providers = current()
    for provider in (providers.llm, providers.recognizer, providers.synthesizer):
        if provider is not None:
            await provider.warm()


async def warm_connections() -> None:
    """Load what the first request to a server would else wait for: some 0.5 s of imports.

    For a web process, which speaks itself below ``/v1`` alone: models of this machine stay
    on disk until somebody asks for them there.
    """
    current()
    if settings.LLM_BASE_URL or "openai" in {*speech.asr_names(), *speech.tts_names()}:
        await warm_client()


def describe() -> dict[str, Any]:
    """Who does what here, for ``/api/health``: names and what is missing, no secrets."""
    return {
        "llm": {
            "name": settings.LLM or ("openai" if settings.LLM_BASE_URL else "understudy"),
            "offline": not settings.LLM_BASE_URL,
            "model": settings.LLM_MODEL if settings.LLM_BASE_URL else "",
        },
        "asr": _speech(speech.asr_names(), "whisper"),
        "tts": _speech(speech.tts_names(), "kokoro"),
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
