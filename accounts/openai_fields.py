"""The fields of a request below ``/v1``, each checked when it is read."""

import json
import sys
from collections.abc import Collection, Mapping
from typing import Any

from django.http import HttpRequest

from accounts.openai_http import ApiError

_LARGEST = sys.float_info.max


class Fields:
    """The fields of one request. Null counts as absent; unknown fields are let pass.

    Each reader raises ApiError (400, with ``param``) for a value that will not do.

    Args:
        values: By name.
        typed: Whether values have types of their own (JSON) or are all text (a form).
    """

    def __init__(self, values: Mapping[str, Any], *, typed: bool = True) -> None:
        self._values = values
        self._typed = typed

    def get(self, name: str) -> Any:
        """The value as it came; None where there is none."""
        return self._values.get(name)

    def all(self) -> Mapping[str, Any]:
        """All of them, as they came."""
        return self._values

    def text(self, name: str, *, default: str | None = None, longest: int = 0) -> str:
        """A string; one that must be there has no default.

        Args:
            name: Of the field.
            default: Where it is absent.
            longest: Characters; 0 for no limit.
        """
        value = self.get(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if not isinstance(value, str):
            raise wrong_type(name, "a string", value)
        if longest and len(value) > longest:
            raise ApiError(
                400,
                f"Invalid '{name}': string too long. Expected a string with maximum length"
                f" {longest}, but got a string with length {len(value)} instead.",
                code="string_above_max_length",
                param=name,
            )
        return value

    def number(self, name: str, *, default: float, least: float, most: float) -> float:
        """A number between two bounds, both allowed."""
        value = self.get(name)
        if value is None:
            return default
        number = self._number(name, value)
        if not least <= number <= most:
            raise invalid(name, f"expected a value between {least:g} and {most:g}, got {value}")
        return number

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """A whole number between two bounds, both allowed."""
        number = self.number(name, default=default, least=least, most=most)
        if number != int(number):
            raise wrong_type(name, "an integer", self.get(name))
        return int(number)

    def flag(self, name: str) -> bool:
        """True or false; false where it is absent."""
        value = self.get(name)
        if not self._typed and isinstance(value, str):
            value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise wrong_type(name, "a boolean", value)
        return value

    def choice(self, name: str, among: Collection[str], *, default: str) -> str:
        """One of some words."""
        value = self.text(name, default=default)
        if value not in among:
            words = ", ".join(f"'{word}'" for word in among)
            raise invalid(name, f"'{value[:100]}'. Supported values are: {words}")
        return value

    def _number(self, name: str, value: Any) -> float:
        if not self._typed and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise wrong_type(name, "a number", value) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a number", value)
        # An int may be larger than any float.
        if not -_LARGEST <= value <= _LARGEST:  # NaN is not either
            raise wrong_type(name, "a finite number", value)
        return float(value)


def json_fields(request: HttpRequest) -> Fields:
    """The fields of a JSON object in the body. Raises ApiError (400, 415) for anything else."""
    require_type(request, "application/json", "")
    try:
        # A lone surrogate (an escape can name one) is no text and could not be sent on.
        values = json.loads(request.body.decode("utf-8-sig"), parse_constant=_refuse)
        if b"\\u" in request.body:
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ApiError(
            400, "We could not parse the JSON body of your request.", code="invalid_json"
        ) from None
    if not isinstance(values, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
    return Fields(values)


def require_type(request: HttpRequest, wanted: str, *others: str) -> None:
    """Raises ApiError (415) for a body of another content type."""
    given = request.content_type or ""
    if given not in (wanted, *others):
        raise ApiError(
            415,
            f"Unsupported content type: '{given[:100]}'. This method takes '{wanted}'.",
            code="unsupported_content_type",
        )


def missing(name: str) -> ApiError:
    """A field that must be there is not."""
    message = f"Missing required parameter: '{name}'."
    return ApiError(400, message, code="missing_required_parameter", param=name)


def invalid(name: str, why: str) -> ApiError:
    """A field's value will not do."""
    return ApiError(400, f"Invalid value for '{name}': {why}.", code="invalid_value", param=name)


def unsupported(name: str, why: str) -> ApiError:
    """A field asks for what there is not here."""
    message = f"Unsupported parameter: '{name}': {why}."
    return ApiError(400, message, code="unsupported_parameter", param=name)


def no_model(name: str) -> ApiError:
    """A model that there is not, or that is not switched on."""
    message = f"The model '{name[:100]}' does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found", param="model")


def wrong_type(name: str, wanted: str, value: Any) -> ApiError:
    """A field's value has the wrong type."""
    message = f"Invalid type for '{name}': expected {wanted}, but got {_type_of(value)} instead."
    return ApiError(400, message, code="invalid_type", param=name)


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "an array"
    return "a string" if isinstance(value, str) else "an object"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
