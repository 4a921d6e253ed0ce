"""The voices that Qiniu has now, asked of itself."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from voice.qiniu.client import QiniuClient
from voice.qiniu.config import QiniuConfig


@dataclass(frozen=True, slots=True)
class QiniuVoice:
    """One voice as Qiniu lists it.

    Attributes:
        voice_type: What a synthesis names (``qiniu_zh_female_wwxkjx``).
        voice_name: For people, in Chinese.
        category: Qiniu's own: 传统音色, 特殊音色, 双语音色.
        language: Read off the ``voice_type``: ``zh``, ``en`` or ``multi``; empty where it
            does not say.
        gender: Read off it too.
        sample_url: A public mp3; may be empty.
    """

    voice_type: str
    voice_name: str
    category: str
    language: str
    gender: Literal["female", "male", "other"]
    sample_url: str


async def list_voices(config: QiniuConfig) -> list[QiniuVoice]:
    """Ask ``GET /voice/list``, with a connection of its own.

    Args:
        config: The address and the key.

    Returns:
        The voices in Qiniu's order, each once; entries without a ``voice_type`` are left out.

    Raises:
        ProviderError: The list cannot be had (``auth``, ``unavailable`` …).
    """
    async with aclosing(QiniuClient(config)) as client:
        answer = await client.request("GET", "/voice/list")
        if not isinstance(answer, list):
            raise client.told(answer) or client.error("sent something that is no list of voices")
    found: dict[str, QiniuVoice] = {}
    for row in answer:
        if isinstance(row, dict) and row.get("voice_type"):
            voice = _voice({name: str(value or "") for name, value in row.items()})
            found.setdefault(voice.voice_type, voice)
    return list(found.values())


def _voice(row: dict[str, str]) -> QiniuVoice:
    voice_type = row["voice_type"]
    words = voice_type.split("_")
    return QiniuVoice(
        voice_type=voice_type,
        voice_name=row.get("voice_name", "") or voice_type,
        category=row.get("category", ""),
        language=next((word for word in words if word in ("zh", "en", "multi")), ""),
        gender="female" if "female" in words else "male" if "male" in words else "other",
        sample_url=row.get("url", ""),
    )
