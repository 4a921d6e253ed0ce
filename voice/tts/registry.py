"""The synthesisers by name. A new one is a file and a line here."""

from collections.abc import Callable, Sequence

from voice.registry import ProviderConfig, build
from voice.tts.base import Synthesizer
from voice.tts.fallback import FallbackSynthesizer, NearestVoice


def _openai(config: ProviderConfig) -> Synthesizer:
    from voice.tts.openai import OpenAISynthesizer

    row = config.require_server()
    row.require("speech")
    return OpenAISynthesizer(
        config.base_url,
        config.api_key,
        config.model,
        row=row.speech,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _dashscope(config: ProviderConfig) -> Synthesizer:
    from voice.tts.cosyvoice import CosyVoiceSynthesizer

    return CosyVoiceSynthesizer(config.require_dashscope())


def _qiniu(config: ProviderConfig) -> Synthesizer:
    from voice.tts.qiniu import QiniuSynthesizer

    return QiniuSynthesizer(
        config.require_qiniu(),
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _local(config: ProviderConfig) -> Synthesizer:
    from voice.tts.kokoro import KokoroSynthesizer

    return KokoroSynthesizer(models_dir=config.models_dir)


FACTORIES: dict[str, Callable[[ProviderConfig], Synthesizer]] = {
    "openai": _openai,
    "dashscope": _dashscope,
    "qiniu": _qiniu,
    "local": _local,
}


def build_synthesizer(
    names: Sequence[str], config: ProviderConfig, nearest_voice: NearestVoice
) -> FallbackSynthesizer:
    """The synthesisers of the operator's list, the next asked when one fails.

    Raises:
        ValueError: The list is empty, a name is unknown, or a setting is missing.
    """
    return FallbackSynthesizer(build(names, FACTORIES, config), nearest_voice, config.policy)
