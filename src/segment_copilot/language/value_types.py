"""Which type a test compares in, which operators each type has, and how dates are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from msgspec import UNSET

from segment_copilot.language.nodes import (
    EventProperty,
    PropertyOperator,
    PropertyTest,
    Scalar,
    UserProperty,
    ValueType,
)

AnyTest = PropertyTest | EventProperty | UserProperty
"""Everything that carries `operator`, `value`, `value2`, `value_type` and `ignore_case` for a property."""

POSITIVE_OF: Final[dict[str, str]] = {
    "neq": "eq",
    "not_in": "in",
    "not_between": "between",
    "does_not_contain": "contains",
    "is_not_set": "is_set",
    "contains_none": "contains_any",
    "not_in_last": "in_last",
}
"""Each negative operator is the exact complement of its positive one, so it matches a missing value."""

_ORDER: Final = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "between", "not_between", "in", "not_in"})
_PRESENCE: Final = frozenset({"is_set", "is_not_set"})
_LISTS: Final = frozenset({"contains_any", "contains_all", "contains_none"})
LENGTHS: Final = frozenset({"in_last", "not_in_last", "in_next", "anniversary_in_next"})
"""Operators whose value is a length; their answer changes with the clock alone."""

_DATES: Final = LENGTHS | {"before", "after"}
EPOCH_UNITS: Final[dict[str, int]] = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
"""Datetimes that may also be stored as a number since 1970: microseconds in its unit."""

DATETIMES: Final = frozenset({"datetime", *EPOCH_UNITS})
OPERATORS: Final[dict[ValueType, frozenset[str]]] = {
    "string": _ORDER | _PRESENCE | {"contains", "does_not_contain", "starts_with", "ends_with", "matches_regex"},
    "number": _ORDER | _PRESENCE,
    "boolean": _PRESENCE | {"eq", "neq", "in", "not_in", "is_true", "is_false"},
    "datetime": _ORDER | _PRESENCE | _DATES,
    "epoch_s": _ORDER | _PRESENCE | _DATES,
    "epoch_ms": _ORDER | _PRESENCE | _DATES,
    "list": _PRESENCE | _LISTS | {"contains", "does_not_contain"},
}

_BETWEEN: Final = frozenset({"between", "not_between"})
_COMPARES: Final = frozenset({"gt", "gte", "lt", "lte"}) | _BETWEEN
_CONTAINS: Final = frozenset({"contains", "does_not_contain"})
_STRING_ONLY: Final = frozenset({"starts_with", "ends_with", "matches_regex"})

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def operands(test: AnyTest) -> list[Scalar]:
    """The values a test compares with, in order; empty for operators that take none."""
    values = list[Scalar]()
    if test.value is not UNSET:
        values.extend(test.value if isinstance(test.value, list) else [test.value])
    if test.value2 is not UNSET:
        values.append(test.value2)
    return values


def parse_date(text: str) -> date | datetime | None:
    """A bare date, an instant (naive when it has no offset; finer than microseconds is cut), or None."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if found := _INSTANT.fullmatch(text):
            fraction = (found[2] or "")[:6].ljust(6, "0")
            return datetime.fromisoformat(f"{found[1]}.{fraction}{(found[3] or '').replace('Z', '+00:00')}")
    except ValueError:  # 2026-02-30, 25:00:00
        return None
    return None


def json_type(value: Scalar) -> ValueType:
    """string, number or boolean: what JSON calls it."""
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def resolve_type(test: AnyTest, declared: ValueType | None) -> ValueType | None:
    """The type *test* compares in; None where the operator does not depend on one.

    Order: what the test says, what the schema declares, dates by their form, the JSON type of the value.
    """
    operator: PropertyOperator = test.operator
    if operator in _PRESENCE:
        return None
    if operator in _CONTAINS:  # chosen per stored value: list or string
        return None if test.value_type in {UNSET, "string", "list"} else test.value_type or None
    if test.value_type is not UNSET:
        return test.value_type
    if operator in _STRING_ONLY:
        return "string"
    if operator in _LISTS:
        return "list"
    if operator in _DATES:
        return declared if declared in EPOCH_UNITS else "datetime"
    if operator in {"is_true", "is_false"}:
        return "boolean"
    values = operands(test)
    if declared is not None:
        return declared
    if operator in _COMPARES and _all_dates(values):
        return "datetime"
    return json_type(values[0]) if values else "string"


def _all_dates(values: Sequence[Scalar]) -> bool:
    return bool(values) and all(isinstance(value, str) and parse_date(value) is not None for value in values)
