"""Which entries of a lorebook fit what is being said.

The book is a ``character_book`` of Character Card V2/V3. Keys match without regard to
case and full or half width; a Latin key matches whole words, a Chinese one anywhere.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def fitting_entries(
    book: Mapping[str, Any],
    texts: Sequence[str],
    *,
    budget: int,
    count: Callable[[str], int],
) -> list[str]:
    """Contents of the entries whose keys occur in ``texts``, in insertion order.

    Args:
        book: The lorebook; an empty mapping has no entries.
        texts: What is searched: the newest messages.
        budget: Tokens that the entries may take together; those of the lowest priority
            (else insertion order) are dropped first.
        count: Tokens of a text.
    """
    searched = _fold("\n".join(texts))
    found = [entry for entry in book.get("entries", []) if _fits(entry, searched)]
    found.sort(key=lambda entry: _order(entry, "priority"), reverse=True)
    kept, used = [], 0
    limit = min(budget, int(book.get("token_budget") or budget))
    for entry in found:
        cost = count(entry["content"])
        if used + cost <= limit:
            kept.append(entry)
            used += cost
    kept.sort(key=lambda entry: _order(entry, "insertion_order"))
    return [entry["content"] for entry in kept]


def _order(entry: Mapping[str, Any], name: str) -> float:
    value = entry.get(name)
    value = entry.get("insertion_order", 0) if value is None else value
    return float(value) if isinstance(value, (int, float)) else 0.0


def _fits(entry: Mapping[str, Any], searched: str) -> bool:
    if not entry.get("enabled", True) or not entry.get("content"):
        return False
    if entry.get("constant"):
        return True
    return any(_occurs(_fold(str(key)), searched) for key in entry.get("keys", []))


def _occurs(key: str, searched: str) -> bool:
    if not key:
        return False
    start = searched.find(key)
    while start >= 0:
        end = start + len(key)
        if not (
            _one_word(searched[start - 1 : start], key[0])
            or _one_word(key[-1], searched[end : end + 1])
        ):
            return True
        start = searched.find(key, start + 1)
    return False


def _one_word(left: str, right: str) -> bool:
    """Whether no word border lies between two characters (only Latin text has such)."""
    both = left + right
    return len(both) == 2 and both.isascii() and all(c.isalnum() or c == "_" for c in both)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
