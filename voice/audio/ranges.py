"""Ranges of bytes, as players ask for them to seek (RFC 9110, 14)."""

import re

_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


class RangeError(ValueError):
    """A range of bytes that is malformed, or that the file does not have."""


def wanted_bytes(asked: str, size: int, *, if_range: str, etag: str) -> tuple[int, int] | None:
    """The first byte that is asked for and the one after the last; None for the whole file.

    Several ranges, other units and an ``If-Range`` of another file are answered with the
    whole, as RFC 9110 (14.2, 13.1.5) allows.

    Args:
        asked: The header ``Range``; empty where there is none.
        size: Bytes of the file.
        if_range: The header ``If-Range``; empty where there is none.
        etag: The file's own.

    Raises:
        RangeError: The range is malformed, or lies beyond the end.
    """
    unit, _sep, text = asked.partition("=")
    if unit.strip().lower() != "bytes" or "," in text:
        return None
    if if_range and if_range != etag:
        return None
    found = _RANGE.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise RangeError(text)
    begin, last = found.groups()
    if begin:
        first, end = int(begin), min(int(last) + 1, size) if last else size
    else:
        first, end = max(0, size - int(last)), size
    if first >= end:
        raise RangeError(text)
    return first, end
