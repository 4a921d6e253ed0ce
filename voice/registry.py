"""What providers are built from, and how a list of their names becomes a chain.

The settings fill the configuration; nothing below reads settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from voice.dashscope.config import DashScopeConfig
from voice.fallback import Policy
from voice.openai_servers import AUTO, ServerRow, server_row
from voice.qiniu.config import QiniuConfig

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """The settings of one capability (language model, recogniser or synthesiser).

    Attributes:
        base_url: Of an OpenAI-compatible server, with the version path.
        api_key: For it; empty where it wants none.
        model: Its name of the model.
        server: Which kind of server that is: a name of ``voice.openai_servers``; ``auto``
            goes by the host.
        dashscope: The settings of DashScope; None where it has no key.
        qiniu: The settings of Qiniu; None where it has no key.
        models_dir: Where the weights of the local models are.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without a byte after which an answer counts as lost.
        policy: When to ask again, and when to ask somebody else.
    """

    base_url: str = ""
    api_key: str = field(default="", repr=False)
    model: str = ""
    server: str = AUTO
    dashscope: DashScopeConfig | None = None
    qiniu: QiniuConfig | None = None
    models_dir: Path = Path("models")
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = READ_TIMEOUT
    policy: Policy = field(default_factory=Policy)

    def require_server(self) -> ServerRow:
        """What the OpenAI-compatible server can do.

        Raises:
            ValueError: Its address or the name of a model is missing, or nobody knows a
                server of that kind.
        """
        for name in ("base_url", "model"):
            if not getattr(self, name):
                raise ValueError(f"the provider openai needs a {name}")
        return server_row(self.base_url, self.server)

    def require_dashscope(self) -> DashScopeConfig:
        """The settings of DashScope.

        Raises:
            ValueError: There is no key.
        """
        if self.dashscope is None or not self.dashscope.api_key:
            raise ValueError("the provider dashscope needs an api_key")
        return self.dashscope

    def require_qiniu(self) -> QiniuConfig:
        """The settings of Qiniu.

        Raises:
            ValueError: There is no key.
        """
        if self.qiniu is None or not self.qiniu.api_key:
            raise ValueError("the provider qiniu needs an api_key")
        return self.qiniu


def build(
    names: Sequence[str],
    factories: Mapping[str, Callable[[ProviderConfig], P]],
    config: ProviderConfig,
) -> dict[str, P]:
    """The providers named, in that order.

    Raises:
        ValueError: A name is unknown, or a setting that its provider needs is missing.
    """
    unknown = [name for name in names if name not in factories]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(factories)}")
    return {name: factories[name](config) for name in dict.fromkeys(names)}
