"""What sessions are begun with in tests."""

import itertools
from typing import Any

from realtime.character import Character
from realtime.setup import Setup

VOICES = frozenset({"alloy", "echo", "shimmer", "longxiaochun_v2"})
CHARACTER = Character(1, "林黛玉", "zh", "你是林黛玉。", "longxiaochun_v2")


def make_setup(**changes: Any) -> Setup:
    settings: dict[str, Any] = {
        "session_id": "sess_0123456789abcdef",
        "conversation_id": "conv_0123456789abcdef",
        "model": "gpt-realtime",
        "character": CHARACTER,
        "voices": VOICES,
        "begins_at": 1_790_000_000,
    }
    return Setup(**{**settings, **changes})


class Ids:
    """Ids in a row: item_1, item_2 …"""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers)}"
