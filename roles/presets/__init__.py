"""The preset characters: one Character Card V3 a file.

What a card cannot say stands in its ``data.extensions.liyuan``: slug, language, gender,
age, voice_type, tagline, moods, colors, sort.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_OURS = ("language", "gender", "age", "voice_type", "tagline", "moods", "colors", "sort")


class BadPreset(ValueError):
    """A card that cannot be loaded; says which file and why."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset as it stands in its file.

    Attributes:
        fields: Values of the fields of ``roles.models.Role``.
    """

    slug: str
    fields: dict[str, Any]


def read_presets(folder: Path = _FOLDER) -> Iterator[Preset]:
    """Yields the presets of a folder, in the order of their file names. Raises BadPreset."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield _preset(json.loads(path.read_text(encoding="utf-8")))
        except KeyError as error:
            raise BadPreset(f"{path.name}: {error} is missing") from error
        except (ValueError, TypeError) as error:
            raise BadPreset(f"{path.name}: {error}") from error


def _preset(card: dict[str, Any]) -> Preset:
    if card["spec"] != "chara_card_v3":
        raise ValueError(f"spec is {card['spec']!r}, not 'chara_card_v3'")
    data = card["data"]
    ours = data["extensions"]["liyuan"]
    slug: str = ours["slug"]
    fields = {
        "name": data["name"],
        "description": data["description"],
        "personality": data["personality"],
        "scenario": data["scenario"],
        "greeting": data["first_mes"],
        "example_dialogue": data["mes_example"],
        "alternate_greetings": data["alternate_greetings"],
        "lorebook": data.get("character_book") or {},
        "tags": data["tags"],
        "portrait": f"/static/portraits/{slug}.svg",
        **{name: ours[name] for name in _OURS},
    }
    return Preset(slug, fields)
