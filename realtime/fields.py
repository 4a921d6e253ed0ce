"""A client's JSON: each field is checked when it is read, and named by its whole path."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from realtime.clean_text import clean
from realtime.errors import invalid, missing

T = TypeVar("T", bound=str)

_DEEPEST = 32
_WIDEST_INTEGER = 2**63 - 1  # what the bus and every JSON reader can hold
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Fields:
    """The fields of one object. Unknown ones are let pass.

    Every reader raises ProtocolError (``invalid_value``, ``missing_required_parameter``)
    with the path of the field.

    Args:
        values: What should be a JSON object.
        path: Its own, as ``session.audio``.

    Raises:
        ProtocolError: It is no object.
    """

    def __init__(self, values: object, path: str) -> None:
        if not isinstance(values, Mapping):
            raise invalid(path, "an object")
        self._values = values
        self.path = path

    def __contains__(self, name: str) -> bool:
        """Whether the field is there at all; null counts as being there."""
        return name in self._values

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}"

    def get(self, name: str) -> Any:
        """The value as it came; None where there is none."""
        return self._values.get(name)

    def inner(self, name: str) -> "Fields":
        """The object in a field; an empty one where there is none."""
        value = self.get(name)
        return Fields({} if value is None else value, self.at(name))

    def text(self, name: str, *, longest: int, default: str | None = None) -> str:
        """A string; one that must be there has no default. Lone surrogates are replaced."""
        value = self.get(name)
        if value is None:
            if default is None:
                raise missing(self.at(name))
            return default
        if not isinstance(value, str):
            raise invalid(self.at(name), "a string")
        if len(value) > longest:
            raise invalid(self.at(name), f"a string of at most {longest} characters")
        return clean(value)

    def identifier(self, name: str, *, default: str | None = None) -> str:
        """An id: not empty, without control characters, at most 128 characters."""
        value = self.get(name)
        if value is None or value == "":
            if default is None:
                raise missing(self.at(name))
            return default
        if not is_identifier(value):
            raise invalid(self.at(name), "an id of at most 128 characters")
        return str(value)

    def choice(self, name: str, among: Collection[T], *, default: T) -> T:
        """One of some strings."""
        value = self.get(name)
        if value is None:
            return default
        for each in among:
            if value == each:
                return each
        raise invalid(self.at(name), f"one of {', '.join(map(repr, among))}")

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid(self.at(name), "a boolean")
        return value

    def number(self, name: str, *, default: float, least: float, most: float) -> float:
        """A number between two bounds, both allowed."""
        value = self.get(name)
        if value is None:
            return default
        # NaN is not between any two numbers.
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise invalid(self.at(name), f"a number between {least:g} and {most:g}")
        if not least <= value <= most:
            raise invalid(self.at(name), f"a number between {least:g} and {most:g}")
        return float(value)

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """A whole number between two bounds, both allowed; 300.0 is one."""
        number = self.number(name, default=default, least=least, most=most)
        if number != int(number):
            raise invalid(self.at(name), "an integer")
        return int(number)

    def items(self, name: str, *, most: int) -> Sequence[Any]:
        """A list; an empty one where there is none."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise invalid(self.at(name), "a list")
        if len(value) > most:
            raise invalid(self.at(name), f"a list of at most {most}")
        return value

    def json(self, name: str, *, longest: int = 65_536) -> Any:
        """Any JSON, to be kept and given back; ``longest`` is about its length as text."""
        return _Json(self.at(name), longest).copy(self.get(name), 0)


class _Json:
    """Copies JSON of bounded size: no NaN, no integer that others cannot hold."""

    def __init__(self, path: str, longest: int) -> None:
        self._path = path
        self._longest = longest
        self._left = longest

    def copy(self, value: object, depth: int) -> Any:
        self._left -= 2 + (len(value) if isinstance(value, str) else 0)
        if self._left < 0:
            raise invalid(self._path, f"JSON of at most {self._longest} characters")
        if depth > _DEEPEST:
            raise invalid(self._path, f"JSON of at most {_DEEPEST} levels")
        match value:
            case None | bool():
                return value
            case str():
                return clean(value)
            case int() if abs(value) <= _WIDEST_INTEGER:
                return value
            case float() if abs(value) < float("inf"):
                return value
            case list() | tuple():
                return [self.copy(each, depth + 1) for each in value]
            case Mapping():
                return {
                    str(self.copy(str(key), depth + 1)): self.copy(each, depth + 1)
                    for key, each in value.items()
                }
        raise invalid(self._path, "plain JSON")


def is_identifier(value: object) -> bool:
    """Whether it may name something."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 128
        and not _CONTROL.search(value)
        and clean(value) == value
    )
