"""Decides the type a test compares in, and reads the values it compares with."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from msgspec import UNSET

from segment_copilot.language.lengths import EARLIEST, LATEST, to_microseconds
from segment_copilot.language.nodes import (
    DateWindow,
    EventCount,
    EventPeriods,
    EventProperty,
    Monetary,
    OtherValue,
    PropertyTest,
    Scalar,
    UserProperty,
    ValueObject,
)
from segment_copilot.language.operators import DATETIMES, EVERY_TYPE, OPERATORS, ValueType

AnyTest = PropertyTest | EventProperty | UserProperty
"""Everything that carries `operator`, `value`, `value2`, `value_type` and `ignore_case` for a property."""

NumericTest = EventCount | EventPeriods | Monetary
"""Everything that carries `operator`, `value` and `value2` for a number."""

EPOCH_UNITS: Final[dict[str, int]] = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
"""Datetimes that may also be stored as a number since 1970: microseconds in its unit."""

_MILLION: Final = 1_000_000
_TEXT_OR_LIST: Final[frozenset[ValueType]] = frozenset({"string", "list"})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def operands(test: AnyTest | NumericTest) -> list[Scalar]:
    """Return the literals a test compares with, in order; empty for operators that take none, a window, or another value."""
    values = list[Scalar]()
    if test.value is not UNSET and not isinstance(test.value, DateWindow):
        values.extend(test.value if isinstance(test.value, list) else [test.value])
    if test.value2 is not UNSET:
        values.append(test.value2)
    return values


def other_value(test: AnyTest) -> OtherValue | None:
    """Return the stored value that a test compares with, where it compares with one."""
    return test.value.other if isinstance(test.value, ValueObject) else None


def is_untyped(test: AnyTest, declared: ValueType | None) -> bool:
    """Return whether nothing says what two stored values compare as: there is no literal to tell by."""
    is_open = other_value(test) is not None and declared is None and test.value_type is UNSET
    return is_open and OPERATORS[test.operator].types != DATETIMES


def parse_date(text: str) -> date | datetime | None:
    """Return a bare date, an instant (naive when it has no offset; finer than microseconds is cut), or None."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if found := _INSTANT.fullmatch(text):
            fraction = (found[2] or "")[:6].ljust(6, "0")
            return datetime.fromisoformat(f"{found[1]}.{fraction}{(found[3] or '').replace('Z', '+00:00')}")
    except ValueError:  # 2026-02-30, 25:00:00
        return None
    return None


_YES: Final = frozenset(["true", "yes", "y", "on", "1", "t", "subscribed", "opted_in", "granted", "enabled"])
_NO: Final = frozenset(["false", "no", "n", "off", "0", "f", "unsubscribed", "opted_out", "denied", "disabled"])


def truth_of(value: Scalar) -> bool | None:
    """Return what a value says where it stands for true or false in another type; None where it says neither."""
    text = str(value).strip().lower().replace(" ", "_").replace("-", "_")
    return True if text in _YES else False if text in _NO else None


def is_number_text(text: str) -> bool:
    """Return whether a stored text is, in full, a JSON number that a double holds."""
    return _JSON_NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def reads_as_date(value: Scalar, value_type: ValueType) -> bool:
    """Return whether a stored value is a datetime of the years that are kept, as this type reads it."""
    if isinstance(value, str):
        day = parse_date(value.replace(" ", "T", 1))  # as SQL and spreadsheets write it
        return day is not None and EARLIEST.year <= day.year <= LATEST.year
    if isinstance(value, bool) or value_type not in EPOCH_UNITS:
        return False
    return to_microseconds(EARLIEST) <= value * EPOCH_UNITS[value_type] <= to_microseconds(LATEST)


def to_millionths(number: float) -> float:
    """Return *number* in whole millionths, as sums compare: the nearest, ties to even; infinite beyond the doubles."""
    product = float(number) * _MILLION
    return round(product) if math.isfinite(product) else product


def as_decimals(number: float, decimals: int) -> int | None:
    """Return *number* in units of its last decimal (0.25 with two is 25), as it is written; None where it has more."""
    if not math.isfinite(number):
        return None
    scaled = Decimal(repr(number)).scaleb(decimals)
    return int(scaled) if scaled == scaled.to_integral_value() else None


def json_type(value: Scalar) -> ValueType:
    """Return JSON's own name of the type: string, number or boolean."""
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def resolve_type(test: AnyTest, declared: ValueType | None) -> ValueType | None:
    """Return the type *test* compares in; None where the operator does not depend on one.

    Order: what the test says, what the schema declares, dates by their form, the JSON type of the value.
    """
    operator = OPERATORS[test.operator]
    types = operator.types
    if types == EVERY_TYPE:
        return None
    if types == _TEXT_OR_LIST:  # chosen per stored value
        return None if test.value_type in {UNSET, "string", "list"} else test.value_type or None
    if test.value_type is not UNSET:
        return test.value_type
    if types == DATETIMES:
        return declared if declared in EPOCH_UNITS else "datetime"
    if len(types) == 1:
        (only,) = types
        return only
    if declared is not None:
        return declared
    values = operands(test)
    if operator.sign not in {None, "="} and _all_dates(values):
        return "datetime"
    return json_type(values[0]) if values else "string"


def _all_dates(values: Sequence[Scalar]) -> bool:
    return bool(values) and all(isinstance(value, str) and parse_date(value) is not None for value in values)
