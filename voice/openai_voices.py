"""The voices of a server that speaks OpenAI's protocol and lists them."""

from dataclasses import dataclass
from typing import Literal

from voice.errors import ProviderError
from voice.openai_client import open_client, provider_errors
from voice.registry import ProviderConfig

_GENDERS: dict[str, Literal["female", "male"]] = {"f": "female", "m": "male"}
# The first letter of Kokoro's names; Japanese, Spanish and others are none of ours.
_KOKORO_LANGUAGES = {"z": "zh", "a": "en", "b": "en"}


@dataclass(frozen=True, slots=True)
class ServerVoice:
    """One voice of such a server.

    Attributes:
        name: What a request names.
        language: ``zh``, ``en``, or empty where the name does not say.
        gender: Empty where the name does not say.
    """

    name: str
    language: str = ""
    gender: Literal["female", "male", ""] = ""


async def list_voices(config: ProviderConfig) -> list[ServerVoice]:
    """Ask a server for its voices, with a connection of its own.

    Args:
        config: Its address, and the row that says where it has its list.

    Returns:
        Its voices in its order, each once.

    Raises:
        ProviderError: It has no list, or it cannot be had.
        ValueError: No server is configured.
    """
    row = config.require_server()
    path = row.speech.voices_path if row.speech else ""
    if not path:
        message = f"{row.title} has no list of its voices"
        raise ProviderError(message, provider="openai", reason="bad_request")
    client = open_client(
        base_url=config.base_url,
        api_key=config.api_key,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )
    async with client:
        with provider_errors("openai"):
            answer = await client.get(path, cast_to=object)
    rows = answer.get("voices") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        message = "openai sent something that is no list of voices"
        raise ProviderError(message, provider="openai", reason="unavailable")
    # Newer servers tell more of a voice than its name.
    names = [
        each.get("id") or each.get("name") if isinstance(each, dict) else each for each in rows
    ]
    return [_voice(name) for name in dict.fromkeys(map(str, filter(None, names)))]


def _voice(name: str) -> ServerVoice:
    """Kokoro's names say it: ``zf_xiaoxiao`` is a Chinese woman."""
    if len(name) > 3 and name[2] == "_" and name[1] in _GENDERS:
        return ServerVoice(name, _KOKORO_LANGUAGES.get(name[0], ""), _GENDERS[name[1]])
    return ServerVoice(name)
