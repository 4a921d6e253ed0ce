"""What the client of DashScope is configured with."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

HOST = "dashscope.aliyuncs.com"  # Beijing; Singapore is dashscope-intl.aliyuncs.com
WEBSOCKET_URL = f"wss://{HOST}/api-ws/v1/inference"
HTTP_URL = f"https://{HOST}/api/v1"
COMPATIBLE_PATH = "/compatible-mode/v1"

# Those for files, for 8 kHz and on other protocols are not of use here.
_LISTENERS = re.compile(
    r"(?!qwen)(?!.*-8k)[\w.-]*realtime[\w.-]*|qwen(?!.*(realtime|filetrans))[\w.-]+"
)

ShortText = Literal["websocket", "http"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the service is waited for. All in seconds.

    Attributes:
        connect: For a connection: name, TCP, TLS and the handshake together.
        started: For task-started.
        started_again: The same where the connection stood idle before: it may be dead
            without a sign, and a fresh one can be had.
        first_audio: From the first complete sentence to its first audio.
        silence: Without any frame while an answer is owed.
        utterance: Waited in one task altogether while an answer is owed, and as much again
            for each 500 characters. Time in which the listener takes nothing does not count.
        pause: After so long without text a task is finished, and another one speaks the
            rest: the service ends a task itself after 23 s without a message.
    """

    connect: float = 4.0
    started: float = 5.0
    started_again: float = 2.0
    first_audio: float = 8.0
    silence: float = 12.0
    utterance: float = 60.0
    pause: float = 20.0


@dataclass(frozen=True, slots=True)
class DashScopeConfig:
    """Where the service is, and whose account is used.

    Key and host belong to one region; a key of another region is refused as wrong.

    Attributes:
        api_key: Of the account.
        websocket_url: Of the task protocol.
        http_url: Of the native HTTP interface, with the version path.
        workspace: Identifier of a workspace other than the key's own.
        asr_model: Who recognises; ``qwen3-asr-…`` takes whole utterances by HTTP, all others
            stream.
        short_text: How texts of up to 500 characters are sent.
        max_connections: Of one pool, to the task protocol.
        patience: How long the service is waited for.

    Raises:
        ValueError: An address or the key cannot be right.
    """

    api_key: str = field(repr=False)
    websocket_url: str = WEBSOCKET_URL
    http_url: str = HTTP_URL
    workspace: str = ""
    asr_model: str = "paraformer-realtime-v2"
    short_text: ShortText = "websocket"
    max_connections: int = 200
    patience: Patience = Patience()

    def __post_init__(self) -> None:
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise ValueError("the key of dashscope has characters that no key has")
        for address, schemes in (
            (self.websocket_url, ("ws", "wss")),
            (self.http_url, ("http", "https")),
        ):
            parts = urlsplit(address)
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"{address!r} is not an address with {' or '.join(schemes)}")
        if not _LISTENERS.fullmatch(self.asr_model):
            raise ValueError(
                f"{self.asr_model!r} cannot recognise here; a realtime model of Paraformer or "
                "Fun-ASR at 16 kHz can, or qwen3-asr-flash"
            )

    @property
    def headers(self) -> dict[str, str]:
        """Those of every request."""
        workspace = {"X-DashScope-WorkSpace": self.workspace} if self.workspace else {}
        return {"Authorization": f"Bearer {self.api_key}"} | workspace

    @property
    def asr_streams(self) -> bool:
        """Whether the model of recognition takes audio while one speaks."""
        return not self.asr_model.startswith("qwen")

    @property
    def compatible_url(self) -> str:
        """The OpenAI-compatible interface of the same host."""
        parts = urlsplit(self.http_url)
        return urlunsplit((parts.scheme, parts.netloc, COMPATIBLE_PATH, "", ""))
