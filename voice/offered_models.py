"""The models of speech that clients of ``/v1`` may name, and who is behind each."""

from collections.abc import Callable, Iterable, Mapping

from django.conf import settings

from voice import catalogue, speech

# OpenAI's own names, which clients have built in: whoever is preferred answers to them.
_SPEECH_NAMES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
_TRANSCRIPTION_NAMES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
ANY = ""


def _cosyvoice_models() -> list[str]:
    """A voice belongs to a model, and is named with it: ``cosyvoice-v2/longxiaochun_v2``."""
    voices = (each.provider_voice for each in catalogue.enabled() if each.provider == "dashscope")
    return sorted({voice.partition("/")[0] for voice in voices})


_SPEECH: Mapping[str, Callable[[], Iterable[str]]] = {
    "openai": lambda: [settings.TTS_MODEL],
    "dashscope": _cosyvoice_models,
    "qiniu": lambda: ["qiniu-tts"],
    "local": lambda: ["kokoro-82m"],
}
_TRANSCRIPTION: Mapping[str, Callable[[], Iterable[str]]] = {
    "openai": lambda: [settings.ASR_MODEL],
    "dashscope": lambda: [settings.DASHSCOPE_ASR_MODEL],
    "qiniu": lambda: ["qiniu-asr"],
    "local": lambda: ["whisper-base"],
}


def speech_models() -> dict[str, str]:
    """Models that speak, each with its provider; ANY for one that every provider answers to.

    Reads the catalogue now and then: not for an event loop.
    """
    return _offered(_SPEECH_NAMES, speech.tts_names(), _SPEECH)


def transcription_models() -> dict[str, str]:
    """Models that listen, as ``speech_models``."""
    return _offered(_TRANSCRIPTION_NAMES, speech.asr_names(), _TRANSCRIPTION)


def _offered(
    common: Iterable[str],
    providers: list[str],
    models: Mapping[str, Callable[[], Iterable[str]]],
) -> dict[str, str]:
    if not providers:
        return {}
    found = dict.fromkeys(common, ANY)
    for provider in providers:
        for name in models[provider]():
            found.setdefault(name, provider)
    return found
