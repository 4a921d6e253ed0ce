"""The version: the newest heading of CHANGELOG.md, its one source."""

import re
from pathlib import Path

_HEADING = re.compile(r"^## (\d+\.\d+\.\d+)\b", re.MULTILINE)


def read_version(changelog: Path) -> str:
    """``1.2.3`` of the first heading like ``## 1.2.3``. Raises ValueError without one."""
    found = _HEADING.search(changelog.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{changelog.name} has no heading like '## 1.2.3'")
    return found[1]
