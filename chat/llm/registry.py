"""The language models by name. A new one is a file and a line here."""

from collections.abc import Callable

from chat.llm.base import LanguageModel
from chat.llm.fallback import FallbackLanguageModel
from voice.registry import ProviderConfig, build


def _openai(config: ProviderConfig) -> LanguageModel:
    from chat.llm.openai import OpenAILanguageModel

    config.require_server()
    return OpenAILanguageModel(
        config.base_url,
        config.api_key,
        config.model,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _understudy(config: ProviderConfig) -> LanguageModel:
    from chat.llm.understudy import Understudy

    return Understudy()


FACTORIES: dict[str, Callable[[ProviderConfig], LanguageModel]] = {
    "openai": _openai,
    "understudy": _understudy,
}


def build_llm(config: ProviderConfig) -> FallbackLanguageModel:
    """The model at ``config.base_url``, asked again where that helps; without one, the understudy.

    The understudy never stands in for a model that fails: it would not be labelled.

    Raises:
        ValueError: A server is given, but no model.
    """
    names = ["openai" if config.base_url else "understudy"]
    return FallbackLanguageModel(build(names, FACTORIES, config), config.policy)
