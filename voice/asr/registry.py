"""The recognisers by name. A new one is a file and a line here."""

from collections.abc import Callable, Sequence

from voice.asr.base import Recognizer
from voice.asr.fallback import FallbackRecognizer
from voice.registry import ProviderConfig, build


def _openai(config: ProviderConfig) -> Recognizer:
    from voice.asr.openai import OpenAIRecognizer

    row = config.require_server()
    row.require("transcription")
    return OpenAIRecognizer(
        config.base_url,
        config.api_key,
        config.model,
        row=row.transcription,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _dashscope(config: ProviderConfig) -> Recognizer:
    from voice.asr import dashscope

    return dashscope.build(config.require_dashscope())


def _qiniu(config: ProviderConfig) -> Recognizer:
    from voice.asr.qiniu import QiniuRecognizer

    return QiniuRecognizer(
        config.require_qiniu(),
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _local(config: ProviderConfig) -> Recognizer:
    from voice.asr.local import WhisperRecognizer

    return WhisperRecognizer(models_dir=config.models_dir)


FACTORIES: dict[str, Callable[[ProviderConfig], Recognizer]] = {
    "openai": _openai,
    "dashscope": _dashscope,
    "qiniu": _qiniu,
    "local": _local,
}


def build_recognizer(names: Sequence[str], config: ProviderConfig) -> FallbackRecognizer:
    """The recognisers of the operator's list, the next asked when one fails.

    Raises:
        ValueError: The list is empty, a name is unknown, or a setting is missing.
    """
    return FallbackRecognizer(build(names, FACTORIES, config), config.policy)
