"""The recogniser and the synthesiser of this process, built from the settings.

They hold pooled connections and models, so they belong to the event loop that uses them.
"""

import asyncio
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import cast
from weakref import WeakKeyDictionary

from django.conf import settings

from voice.asr.fallback import FallbackRecognizer
from voice.asr.registry import build_recognizer
from voice.catalogue import nearest
from voice.dashscope.config import DashScopeConfig, ShortText
from voice.fallback import Policy
from voice.limits import Limit
from voice.openai_servers import AUTO
from voice.qiniu.config import QiniuConfig, Transport
from voice.registry import ProviderConfig
from voice.speech_store import DjangoSpeechStore
from voice.tts.base import Synthesizer, VoiceRef
from voice.tts.cache import CachedSynthesizer, speech_key
from voice.tts.registry import build_synthesizer


@dataclass(frozen=True, slots=True)
class Speech:
    """Who listens and who speaks; None where nobody is configured.

    Attributes:
        recognizer: Speech to text.
        synthesizer: Text to speech.
        kept: The same voices, for what is said again and again and is nobody's secret: it
            is spoken once and kept.
    """

    recognizer: FallbackRecognizer | None
    synthesizer: Synthesizer | None
    kept: CachedSynthesizer | None


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Speech] = WeakKeyDictionary()
_lock = Lock()


def asr_names() -> list[str]:
    """The recognisers switched on, the preferred first: ASR_PROVIDERS, or what is at hand."""
    return settings.ASR_PROVIDERS or _at_hand(settings.ASR_BASE_URL)


def tts_names() -> list[str]:
    """The synthesisers switched on, the preferred first: TTS_PROVIDERS, or what is at hand."""
    return settings.TTS_PROVIDERS or _at_hand(settings.TTS_BASE_URL)


def _at_hand(base_url: str) -> list[str]:
    return [
        *(["openai"] if base_url else []),
        *(["dashscope"] if settings.DASHSCOPE_API_KEY else []),
        *(["qiniu"] if settings.QINIU_API_KEY else []),
        *(["local"] if settings.SPEECH else []),
    ]


def current() -> Speech:
    """The speech of the running event loop. Raises ValueError for a wrong setting."""
    loop = asyncio.get_running_loop()
    with _lock:
        if loop not in _of_loop:
            _of_loop[loop] = build()
        return _of_loop[loop]


def build() -> Speech:
    """Providers as the settings say; nothing is connected or loaded yet.

    Raises:
        ValueError: A name is unknown, or a setting that its provider needs is missing.
    """
    asr, tts = asr_names(), tts_names()
    synthesizer = build_synthesizer(tts, provider_config("TTS"), nearest) if tts else None
    store = DjangoSpeechStore() if settings.SPEECH_CACHE_MB else None
    return Speech(
        recognizer=build_recognizer(asr, provider_config("ASR")) if asr else None,
        synthesizer=synthesizer,
        kept=CachedSynthesizer(synthesizer, _model_of, store) if synthesizer else None,
    )


def key_of(text: str, voice: VoiceRef) -> str:
    """The key under which ``Speech.kept`` keeps a text; for where no event loop runs."""
    return speech_key(text, voice, _model_of(voice.provider))


def _model_of(provider: str) -> str:
    """What decides, besides the voice, how a provider sounds."""
    return f"{settings.TTS_BASE_URL} {settings.TTS_MODEL}" if provider == "openai" else ""


def provider_config(capability: str) -> ProviderConfig:
    """The settings of ``LLM``, ``ASR`` or ``TTS``."""
    return ProviderConfig(
        base_url=getattr(settings, f"{capability}_BASE_URL"),
        api_key=getattr(settings, f"{capability}_API_KEY"),
        model=getattr(settings, f"{capability}_MODEL"),
        server=getattr(settings, f"{capability}_SERVER", AUTO),
        dashscope=dashscope_config(),
        qiniu=qiniu_config(),
        models_dir=settings.MODELS_DIR,
        policy=Policy(
            patience=getattr(settings, f"{capability}_FIRST_SECONDS"),
            limits=_limits(capability.lower()),
        ),
    )


@cache
def _limits(capability: str) -> dict[str, Limit]:
    """What may be asked of each provider that has a limit; one for all event loops."""
    prefix = f"{capability}."
    names = {
        name.removeprefix(prefix)
        for name in (*settings.PROVIDER_CONCURRENCY, *settings.PROVIDER_RATE)
        if name.startswith(prefix)
    }
    return {
        name: Limit(
            at_once=int(settings.PROVIDER_CONCURRENCY.get(prefix + name, 0)),
            per_second=settings.PROVIDER_RATE.get(prefix + name, 0.0),
        )
        for name in names
    }


def dashscope_config() -> DashScopeConfig | None:
    """The settings of DashScope; None where it has no key. Raises ValueError for a wrong one."""
    if not settings.DASHSCOPE_API_KEY:
        return None
    return DashScopeConfig(
        api_key=settings.DASHSCOPE_API_KEY,
        websocket_url=settings.DASHSCOPE_WEBSOCKET_BASE_URL,
        http_url=settings.DASHSCOPE_HTTP_BASE_URL,
        workspace=settings.DASHSCOPE_WORKSPACE,
        asr_model=settings.DASHSCOPE_ASR_MODEL,
        short_text=cast(ShortText, settings.DASHSCOPE_SHORT_TEXT),
        max_connections=settings.DASHSCOPE_MAX_CONNECTIONS,
    )


def qiniu_config() -> QiniuConfig | None:
    """The settings of Qiniu; None where it has no key."""
    if not settings.QINIU_API_KEY:
        return None
    return QiniuConfig(
        api_key=settings.QINIU_API_KEY,
        base_url=settings.QINIU_BASE_URL,
        tts_transport=cast(Transport, settings.QINIU_TTS_TRANSPORT),
    )
