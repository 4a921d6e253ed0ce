"""Typed readers of the environment. A bad value stops the start; nothing is coerced."""

import json
import math
import os
from collections.abc import Collection, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def load_dotenv(path: Path) -> None:
    """Read ``NAME=value`` lines into the environment; what is already set wins.

    Lines that start with ``#`` and empty lines are skipped; one pair of quotes around a
    value is taken off. Raises ImproperlyConfigured for any other line.
    """
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, separator, value = line.removeprefix("export ").partition("=")
        if not separator or not name.strip().isidentifier():
            raise ImproperlyConfigured(f"{path.name}, line {number}: expected NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        os.environ.setdefault(name.strip(), value)


def text(name: str, default: str = "") -> str:
    """The variable, or the content of the file that ``NAME_FILE`` points to, stripped."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {error}") from error
    return os.environ.get(name, "").strip() or default


def boolean(name: str, *, default: bool) -> bool:
    """on/off, true/false, yes/no or 1/0, in any case."""
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}")


def number(
    name: str, default: float, *, minimum: float = 0, maximum: float = float("inf")
) -> float:
    """A number within [minimum, maximum]."""
    value = text(name)
    try:
        result = float(value or default)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}") from None
    if not minimum <= result <= maximum:
        raise ImproperlyConfigured(f"{name} must be between {minimum} and {maximum}")
    return result


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = 2**62) -> int:
    """A whole number within [minimum, maximum]."""
    result = number(name, default, minimum=minimum, maximum=maximum)
    if result != int(result):
        raise ImproperlyConfigured(f"{name} must be a whole number")
    return int(result)


def choice(name: str, default: str, *, among: Sequence[str]) -> str:
    """One of the words in ``among``."""
    value = text(name, default).lower()
    if value not in among:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}, not {value!r}")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; empty items are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str, default: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of networks: ``10.0.0.0/8,::1/128``."""
    try:
        return [ip_network(network) for network in words(name, default)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def prices(name: str) -> dict[str, float]:
    """A JSON object of ``"<provider>:<unit>": price of one``, in a currency of one's own."""
    value = text(name)
    if not value:
        return {}
    try:
        found = json.loads(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"{name} must be a JSON object")
    for key, price in found.items():
        provider, _colon, unit = key.partition(":")
        if not provider or not unit:
            raise ImproperlyConfigured(f"{name}: {key!r} is not <provider>:<unit>")
        if type(price) not in (int, float) or not math.isfinite(price) or price < 0:
            raise ImproperlyConfigured(f"{name}: {key} must have a price, not {price!r}")
    return {key: float(price) for key, price in found.items()}


def amounts(name: str, *, among: Collection[str]) -> dict[str, float]:
    """``key=number,key=number`` with numbers above 0.

    Args:
        name: Of the variable.
        among: What a key begins with, before its first dot.
    """
    found: dict[str, float] = {}
    for word in words(name):
        key, _sign, value = (part.strip() for part in word.partition("="))
        try:
            found[key] = float(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}: {word!r} is not <name>=<number>") from None
        first, _dot, rest = key.partition(".")
        if first not in among or not rest:
            raise ImproperlyConfigured(
                f"{name}: {key!r} must begin with {', '.join(among)} and a dot"
            )
        if not 0 < found[key] < float("inf"):
            raise ImproperlyConfigured(f"{name}: {key} must be above 0")
    return found
