"""A client's frame as JSON, whose strings can be sent back."""

import json
from typing import Any

from realtime.clean_text import whole


def parse_frame(text: str) -> Any:
    """What a frame says.

    An escape can name half a surrogate pair, which no frame could carry: it is replaced here,
    wherever it stands, so that nothing behind has to think of it.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is too deep.
    """
    value = json.loads(text, parse_constant=_no_constant)
    return _whole(value) if "\\ud" in text or "\\uD" in text else value


def _whole(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {whole(key): _whole(each) for key, each in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
