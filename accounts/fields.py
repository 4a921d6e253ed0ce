"""Fields of JSON bodies that take their own type alone, and say in whole sentences why not.

REST framework's own turn ``30`` into ``"30"`` and ``"30"`` into ``30``; this API does not.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

# Explicit embeddings, overrides and isolates: they make a name read otherwise than it is.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def worded(text: str) -> ErrorDetail:
    """A reason that needs no field's name in front of it."""
    return ErrorDetail(text, code="worded")


def reject(text: str) -> NoReturn:
    """Raise the ValidationError of a reason in whole words."""
    raise serializers.ValidationError(worded(text))


def has_control_characters(text: str, *, lines: bool) -> bool:
    """Whether a text holds what nobody types; ``lines``: tabs and line breaks are meant."""
    for character in text:
        if lines and character in "\n\r\t":
            continue
        category = unicodedata.category(character)
        if category in ("Cc", "Cs") or (not lines and category in ("Zl", "Zp")):
            return True
        if not lines and character in _BIDI_CONTROLS:
            return True
    return False


class _Worded(serializers.Field[Any, Any, Any, Any]):
    """Needs a ``label``: the errors speak of it."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        reasons = {
            "required": _("缺少%(label)s"),
            "null": _("%(label)s不能为空"),
            "blank": _("%(label)s不能为空"),
            "not_a_list": _("%(label)s必须是列表"),
        }
        reject(reasons[key] % {"label": self.label})


class StrictText(_Worded, serializers.CharField):
    """A string, stripped; of one line unless ``lines``; no control characters."""

    def __init__(
        self, *, minimum: int = 0, maximum: int, lines: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(
            min_length=minimum or None, max_length=maximum, allow_blank=not minimum, **kwargs
        )
        self.minimum, self.maximum, self.lines = minimum, maximum, lines

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            reject(_("%(label)s必须是字符串") % {"label": self.label})
        text = data.strip() if self.trim_whitespace else data
        names = {"label": self.label, "minimum": self.minimum, "maximum": self.maximum}
        if len(text) > self.maximum and not self.minimum > 1:
            reject(_("%(label)s不能超过%(maximum)d个字符") % names)
        if not self.minimum <= len(text) <= self.maximum:
            reject(_("%(label)s长度必须在%(minimum)d-%(maximum)d个字符之间") % names)
        if has_control_characters(text, lines=self.lines):
            reject(_("%(label)s含有控制字符") % names)
        return text


class StrictInteger(_Worded, serializers.IntegerField):
    """A whole JSON number: not a string of digits, not true, not 30.5 or 30.0."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(min_value=minimum, max_value=maximum, **kwargs)
        self.minimum, self.maximum = minimum, maximum

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:  # bool is an int to isinstance
            reject(_("%(label)s必须是整数") % {"label": self.label})
        if not self.minimum <= data <= self.maximum:
            reject(
                _("%(label)s必须在%(minimum)d-%(maximum)d之间")
                % {"label": self.label, "minimum": self.minimum, "maximum": self.maximum}
            )
        return data


class StrictDate(_Worded, serializers.DateField):
    """A day, as ``2026-11-21`` alone."""

    def to_internal_value(self, data: Any) -> date:
        if isinstance(data, str) and _DATE.fullmatch(data):
            try:
                return date.fromisoformat(data)
            except ValueError:  # the 30th of February
                pass
        reject(_("%(label)s必须是 YYYY-MM-DD 形式的日期") % {"label": self.label})


class StrictMoment(_Worded, serializers.DateTimeField):
    """A moment in ISO 8601 with its offset from UTC, which the value then has no more."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
            if moment is not None and moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the 25th hour; the year 0 in UTC
            pass
        reject(_("%(label)s必须是带时区的 ISO 8601 时间") % {"label": self.label})


class StrictChoice(_Worded, serializers.ChoiceField):
    """One of a few words."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            among = "、".join(str(choice) for choice in self.choices)
            reject(_("%(label)s必须是 %(among)s 之一") % {"label": self.label, "among": among})
        return data


class StrictTextList(_Worded, serializers.ListField):
    """A list of short strings, each once."""

    def __init__(self, *, maximum: int, each: StrictText, **kwargs: Any) -> None:
        super().__init__(child=each, **kwargs)
        self.maximum = maximum

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list):
            self.fail("not_a_list")
        if len(data) > self.maximum:
            reject(
                _("%(label)s不能超过%(maximum)d个") % {"label": self.label, "maximum": self.maximum}
            )
        return list(dict.fromkeys(super().to_internal_value(data)))


class ObjectSerializer(serializers.Serializer[Any]):
    """A body that has to be a JSON object; members nobody knows are ignored."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if not isinstance(data, dict):
            reason = worded(_("请求体必须是 JSON 对象"))
            raise serializers.ValidationError({"non_field_errors": [reason]})
        return super().run_validation(data)
