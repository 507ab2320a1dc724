"""One property test on one stored value: types, missing values and all operators.

Part of the reference interpreter (see `reference`): slow, obvious, and written from the language's page alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from tests.support.language.reference_times import (
    Clock,
    Span,
    ahead,
    anniversary_in,
    anniversary_in_last,
    anniversary_in_next,
    back,
    date_window,
    stored_datetime,
    wanted_span,
)

Schemas = Mapping[str, Mapping[str, str]]
"""Event type → property path → declared type. Traits are the properties of `context_identified`."""

NEGATIVE = {
    "neq": "eq",
    "not_in": "in",
    "not_between": "between",
    "does_not_contain": "contains",
    "contains_none": "contains_any",
    "is_not_set": "is_set",
    "is_empty": "is_not_empty",
    "not_in_last": "in_last",
    "not_in_window": "in_window",
}
"""Each is the exact complement of its positive one."""

DATETIMES = {"datetime": None, "epoch_s": 1_000_000, "epoch_ms": 1_000}
"""With the unit, in microseconds, of a number that stands for one."""

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


# Where a value is, and what it is as a type.


def path_steps(path: str) -> list[str]:
    r"""`a.b\.c` → a, then b.c."""
    steps = [""]
    characters = iter(path)
    for character in characters:
        if character == ".":
            steps.append("")
        else:
            steps[-1] += next(characters) if character == "\\" else character
    return steps


def look_up(payload: Any, path: str) -> Any:
    """The value at *path*; dots walk objects only, and null is missing."""
    value = payload
    for step in path_steps(path):
        if not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return MISSING if value is None else value


def as_number(value: Any) -> float | None:
    """JSON numbers and strings that are, in full, a JSON number; beyond the doubles there are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not _JSON_NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read(value: Any, type_: str, clock: Clock) -> Any:
    """*value* as *type_*; None when it is not of that type, which is missing."""
    if value is MISSING:
        return None
    if type_ == "number":
        return as_number(value)
    if type_ in DATETIMES:
        return stored_datetime(value, clock.zone, DATETIMES[type_])
    python = {"string": str, "boolean": bool, "list": list}[type_]
    return value if isinstance(value, python) else None


def json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def wanted_values(test: Mapping[str, Any]) -> list[Any]:
    """`value` and `value2`, or the values of a list."""
    value = test.get("value")
    values = list(value) if isinstance(value, list) else [value]
    return [*values, test["value2"]] if "value2" in test else values


def declared_type(schemas: Schemas, event_types: str | Sequence[str], path: str) -> str | None:
    """The type in the schema, if all the named event types agree; `"*"` names every one that there is."""
    names = [event_types] if isinstance(event_types, str) else event_types
    if event_types == "*":
        names = [name for name in schemas if name != "context_identified"]
    declared = {schemas.get(name, {}).get(path) for name in names}
    return declared.pop() if len(declared) == 1 else None


def type_of(test: Mapping[str, Any], declared: str | None, clock: Clock) -> str:
    """In which type *test* compares. *declared*: what the schema says."""
    name = NEGATIVE.get(test["operator"], test["operator"])
    given = test.get("value_type") or declared
    if name not in ORDER and name in DATES:
        return given if given in DATETIMES else "datetime"
    if given:
        return given
    values = wanted_values(test)
    if name in {"gt", "gte", "lt", "lte", "between"} and all(wanted_span(value, clock.zone) for value in values):
        return "datetime"
    return json_type(values[0])


# The test itself.


def passes(test: Mapping[str, Any], value: Any, *, clock: Clock, declared: str | None = None) -> bool:
    """Whether *value* (or MISSING) passes *test*. `negate` is not looked at here."""
    name = test["operator"]
    if name in NEGATIVE:
        return not passes({**test, "operator": NEGATIVE[name]}, value, clock=clock, declared=declared)
    if name in MEANINGS:
        return MEANINGS[name](value, test, clock)
    type_ = type_of(test, declared, clock)
    stored = read(value, type_, clock)
    if stored is None:
        return False
    if type_ in DATETIMES:
        return DATES[name](stored, test, clock)
    return ORDER[name](_folded(stored, test), [_folded(_wanted(one, type_), test) for one in wanted_values(test)])


def passes_beside(
    test: Mapping[str, Any], value: Any, other: Any, *, clock: Clock, declared: str | None = None
) -> bool:
    """Whether *value* compares as *test* says with another stored value; both are read in one type, and are there."""
    name = test["operator"]
    if name in NEGATIVE:
        return not passes_beside({**test, "operator": NEGATIVE[name]}, value, other, clock=clock, declared=declared)
    type_ = str(test.get("value_type") or declared or "datetime")
    if name in {"before", "after"} and type_ not in DATETIMES:
        type_ = "datetime"
    one, two = read(value, type_, clock), read(other, type_, clock)
    if one is None or two is None:
        return False
    sided = {"before": "lt", "after": "gt"}
    return ORDER[str(sided.get(name, name))](_folded(one, test), [_folded(two, test)])


def _is_set(value: Any) -> bool:
    """Whether a value other than null is there; an object is there when anything in it is."""
    if isinstance(value, dict):
        return any(_is_set(inside) for inside in value.values())
    return value is not MISSING and value is not None


def _wanted(value: Any, type_: str) -> Any:
    return float(value) if type_ == "number" else value


def _folded(value: Any, test: Mapping[str, Any]) -> Any:
    """Unicode lower case when the test ignores case."""
    return value.lower() if isinstance(value, str) and test.get("ignore_case") else value


def _text(value: Any, test: Mapping[str, Any], holds: Callable[[str, list[str]], bool]) -> bool:
    wanted = [_folded(text, test) for text in wanted_values(test)]
    return isinstance(value, str) and holds(_folded(value, test), wanted)


def _regex(value: Any, test: Mapping[str, Any]) -> bool:
    pattern = f"(?i){test['value']}" if test.get("ignore_case") else test["value"]
    return isinstance(value, str) and re2.search(pattern, value) is not None


def _contains(value: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    """What is stored decides: a list has an equal element, a string has the substring."""
    if isinstance(value, list):
        return _has_element(value, test["value"], test, clock)
    if isinstance(value, str) and isinstance(test["value"], str):
        return _folded(test["value"], test) in _folded(value, test)
    return False


def _found(value: Any, test: Mapping[str, Any], clock: Clock) -> list[bool]:
    """Of each wanted value whether the list has it."""
    return [_has_element(value, wanted, test, clock) for wanted in test["value"]]


def _has_element(values: list[Any], wanted: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    """An element equals a wanted value when `eq` in the wanted value's JSON type would hold."""
    equal = {
        "operator": "eq",
        "value": wanted,
        "value_type": json_type(wanted),
        "ignore_case": test.get("ignore_case", False),
    }
    return any(passes(equal, MISSING if one is None else one, clock=clock) for one in values)


def _spans(test: Mapping[str, Any], clock: Clock) -> list[Span]:
    """A bare date in *test* is a whole local day; an instant is a day of one microsecond."""
    return [span for value in wanted_values(test) if (span := wanted_span(value, clock.zone))]


MEANINGS: dict[str, Callable[[Any, Mapping[str, Any], Clock], bool]] = {
    "is_set": lambda value, *_: _is_set(value),
    "is_not_empty": lambda value, *_: _is_set(value) and value not in ("", []),
    "is_true": lambda value, *_: value is True,
    "is_false": lambda value, *_: value is False,
    "contains": _contains,
    "contains_any": lambda value, test, clock: isinstance(value, list) and any(_found(value, test, clock)),
    "contains_all": lambda value, test, clock: isinstance(value, list) and all(_found(value, test, clock)),
    "equals_set": lambda value, test, clock: (
        isinstance(value, list)
        and all(_found(value, test, clock))
        and all(any(_found([element], test, clock)) for element in value)
    ),
    "starts_with": lambda value, test, _: _text(value, test, lambda text, wanted: text.startswith(wanted[0])),
    "ends_with": lambda value, test, _: _text(value, test, lambda text, wanted: text.endswith(wanted[0])),
    "matches_regex": lambda value, test, _: _regex(value, test),
}
"""Operators that look at the value as it is stored."""

ORDER: dict[str, Callable[[Any, Sequence[Any]], bool]] = {
    "eq": lambda stored, wanted: stored == wanted[0],
    "in": lambda stored, wanted: stored in wanted,
    "gt": lambda stored, wanted: stored > wanted[0],
    "gte": lambda stored, wanted: stored >= wanted[0],
    "lt": lambda stored, wanted: stored < wanted[0],
    "lte": lambda stored, wanted: stored <= wanted[0],
    "between": lambda stored, wanted: wanted[0] <= stored <= wanted[1],
}
"""Operators over numbers, strings (which order by code point, as Python orders them) and booleans."""

DATES: dict[str, Callable[[Any, Mapping[str, Any], Clock], bool]] = {
    "eq": lambda stored, test, clock: _spans(test, clock)[0].holds(stored),
    "in": lambda stored, test, clock: any(span.holds(stored) for span in _spans(test, clock)),
    "gt": lambda stored, test, clock: stored >= _spans(test, clock)[0].end,
    "after": lambda stored, test, clock: stored >= _spans(test, clock)[0].end,
    "gte": lambda stored, test, clock: stored >= _spans(test, clock)[0].start,
    "lt": lambda stored, test, clock: stored < _spans(test, clock)[0].start,
    "before": lambda stored, test, clock: stored < _spans(test, clock)[0].start,
    "lte": lambda stored, test, clock: stored < _spans(test, clock)[0].end,
    "between": lambda stored, test, clock: _spans(test, clock)[0].start <= stored < _spans(test, clock)[1].end,
    "in_last": lambda stored, test, clock: back(clock, test["value"]) <= stored <= clock.as_of,
    "in_next": lambda stored, test, clock: clock.as_of < stored <= ahead(clock, test["value"]),
    "in_window": lambda stored, test, clock: date_window(test["value"], clock).holds(stored),
    "anniversary_in": lambda stored, test, clock: anniversary_in(stored, test["value"], clock),
    "anniversary_in_last": lambda stored, test, clock: anniversary_in_last(stored, test["value"], clock),
    "anniversary_in_next": lambda stored, test, clock: anniversary_in_next(stored, test["value"], clock),
}
"""Operators over instants."""


def compares(test: Mapping[str, Any], measured: float | None, wanted: Sequence[float]) -> bool:
    """A count or an aggregate against its bounds; *measured* None is missing."""
    name = test["operator"]
    if name in NEGATIVE:
        return not compares({**test, "operator": NEGATIVE[name]}, measured, wanted)
    return measured is not None and ORDER[name](measured, list(wanted))
