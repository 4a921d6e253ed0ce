"""Where Qiniu's speech is, and what lets us in."""

from dataclasses import dataclass, field
from typing import Literal

BASE_URL = "https://api.qnaigc.com/v1"

Transport = Literal["websocket", "http"]


@dataclass(frozen=True, slots=True)
class QiniuConfig:
    """The settings of Qiniu.

    Attributes:
        api_key: Of Qiniu's AI service; not the access key of its storage.
        base_url: With the version path; ``https`` becomes ``wss`` for the WebSockets.
        tts_transport: How synthesis is asked for. A WebSocket gives the first audio while
            the rest is made; over HTTP a request is answered whole, without a handshake.
    """

    api_key: str = field(repr=False)
    base_url: str = BASE_URL
    tts_transport: Transport = "websocket"
